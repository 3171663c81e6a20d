// Package remote runs commands on, and copies files to, other hosts over SSH.
package remote

import (
	"github.com/pulumi/pulumi-go-provider/infer"

	"vmpool.invalid/engine/command/stream"
)

// Logging is the enumeration command:remote:Logging.
type Logging string

// Values lists the enumeration's members for the schema.
func (Logging) Values() []infer.EnumValue[Logging] {
	return []infer.EnumValue[Logging]{
		{Name: "Stdout", Value: Logging(stream.Stdout), Description: "Show stdout, not stderr"},
		{Name: "Stderr", Value: Logging(stream.Stderr), Description: "Show stderr, not stdout"},
		{Name: "StdoutAndStderr", Value: Logging(stream.StdoutAndStderr), Description: "Show both"},
		{Name: "None", Value: Logging(stream.None), Description: "Show neither"},
	}
}

// Defaults of a connection, as in the published schema.
const (
	defaultUser           = "root"
	defaultPort           = 22
	defaultDialErrorLimit = 10
	defaultPerDialTimeout = 15
)

// Endpoint is what a connection and its proxy have in common: where to connect, as whom, how patiently.
type Endpoint struct {
	Host               string   `pulumi:"host"`
	Port               *float64 `pulumi:"port,optional"`
	User               *string  `pulumi:"user,optional"`
	Password           *string  `pulumi:"password,optional"`
	PrivateKey         *string  `pulumi:"privateKey,optional"`
	PrivateKeyPassword *string  `pulumi:"privateKeyPassword,optional"`
	AgentSocketPath    *string  `pulumi:"agentSocketPath,optional"`
	HostKey            *string  `pulumi:"hostKey,optional"`
	DialErrorLimit     *int     `pulumi:"dialErrorLimit,optional"`
	PerDialTimeout     *int     `pulumi:"perDialTimeout,optional"`
}

// Annotate describes the inputs in the schema and gives their defaults.
func (e *Endpoint) Annotate(a infer.Annotator) {
	a.Describe(&e.Host, "Address to connect to.")
	a.Describe(&e.Port, "Port to connect to. Default: 22.")
	a.SetDefault(&e.Port, defaultPort)
	a.Describe(&e.User, "User to log in as. Default: root.")
	a.SetDefault(&e.User, defaultUser)
	a.Describe(&e.Password, "Password to log in with.")
	a.Describe(&e.PrivateKey, "Private key to log in with (its text). It is tried before the password.")
	a.Describe(&e.PrivateKeyPassword, "Password of the private key, if it is encrypted.")
	a.Describe(&e.AgentSocketPath, "Socket of an SSH agent. Default: the environment's SSH_AUTH_SOCK.")
	a.Describe(&e.HostKey, "Host key that the server must show. Without it any key is accepted.")
	a.Describe(&e.DialErrorLimit, "How many failures to connect are accepted; -1 for no limit. Default: 10.")
	a.SetDefault(&e.DialErrorLimit, defaultDialErrorLimit)
	a.Describe(&e.PerDialTimeout, "Seconds that each attempt to connect may take; 0 for no limit. Default: 15.")
	a.SetDefault(&e.PerDialTimeout, defaultPerDialTimeout)
}

// Connection is command:remote:Connection.
type Connection struct {
	Endpoint
	Proxy *ProxyConnection `pulumi:"proxy,optional"`
}

// Annotate describes the inputs in the schema.
func (c *Connection) Annotate(a infer.Annotator) {
	a.Describe(&c, "How to reach a host over SSH.")
	a.Describe(&c.Proxy, "A host to connect through.")
}

// ProxyConnection is command:remote:ProxyConnection.
type ProxyConnection struct {
	Endpoint
}

// Annotate describes the type in the schema.
func (c *ProxyConnection) Annotate(a infer.Annotator) {
	a.Describe(&c, "How to reach the host to connect through.")
}
