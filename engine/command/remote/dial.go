package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const (
	firstRetryDelay = time.Second
	maxRetryDelay   = 10 * time.Second
	// A host that dies in the middle of a command is noticed after keepAliveInterval * keepAliveMisses.
	keepAliveInterval = 15 * time.Second
	keepAliveMisses   = 4
)

// errHostKey says that the server is not the one that was expected: trying again cannot help.
var errHostKey = errors.New("the host key is not the expected one")

// session is an open connection and what must be closed with it, last opened first.
type session struct {
	*ssh.Client
	opened []func()
}

// Close ends the connection and that to the proxy.
func (s *session) Close() {
	for i := len(s.opened) - 1; i >= 0; i-- {
		s.opened[i]()
	}
}

// dialer opens the byte stream that an SSH connection runs over.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dial connects, through the proxy if there is one, trying again as the connection's limits allow. The connection
// outlives ctx, so that what runs over it can be ended in an orderly way: whoever dialled closes it.
func (c Connection) dial(ctx context.Context) (*session, error) {
	s := &session{}
	var direct net.Dialer
	through := dialer(direct.DialContext)
	if c.Proxy != nil {
		proxy, err := c.Proxy.connect(ctx, through, s)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("proxy: %w", err)
		}
		through = proxy.DialContext
	}
	client, err := c.connect(ctx, through, s)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.Client = client

	ended := make(chan struct{})
	s.opened = append(s.opened, func() { close(ended) })
	go keepAlive(client, ended)
	return s, nil
}

// connect tries until it is connected, the limit of failures is reached, or ctx ends.
func (e Endpoint) connect(ctx context.Context, dial dialer, s *session) (*ssh.Client, error) {
	config, closeAgent, err := e.clientConfig()
	if err != nil {
		return nil, err
	}
	s.opened = append(s.opened, closeAgent)

	limit := valueOr(e.DialErrorLimit, defaultDialErrorLimit)
	delay := firstRetryDelay
	for failures := 1; ; failures++ {
		client, err := e.attempt(ctx, dial, config)
		if err == nil {
			s.opened = append(s.opened, func() { _ = client.Close() })
			return client, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("connecting to %s: %w (last failure: %w)", e.address(), ctx.Err(), err)
		}
		if errors.Is(err, errHostKey) || (limit >= 0 && failures > limit) {
			return nil, fmt.Errorf("connecting to %s as %s failed %d time(s): %w",
				e.address(), config.User, failures, err)
		}
		p.GetLogger(ctx).InfoStatusf("connecting to %s failed %d time(s), trying again: %v", e.address(), failures, err)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
		delay = min(delay*3/2, maxRetryDelay)
	}
}

// attempt makes one connection, within the endpoint's time limit for one.
func (e Endpoint) attempt(ctx context.Context, dial dialer, config *ssh.ClientConfig) (*ssh.Client, error) {
	if seconds := valueOr(e.PerDialTimeout, defaultPerDialTimeout); seconds > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
		defer cancel()
		ctx = limited
	}
	conn, err := dial(ctx, "tcp", e.address())
	if err != nil {
		return nil, err
	}
	// The handshake knows no context, and a stream through a proxy no deadline: closing it is what ends both.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	inner, channels, requests, err := ssh.NewClientConn(conn, e.address(), config)
	if !stop() && err == nil {
		_ = inner.Close()
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("SSH handshake: %w", ctx.Err())
		}
		return nil, err
	}
	return ssh.NewClient(inner, channels, requests), nil
}

func (e Endpoint) address() string {
	port := defaultPort
	if e.Port != nil {
		port = int(*e.Port)
	}
	return net.JoinHostPort(strings.Trim(e.Host, "[]"), strconv.Itoa(port))
}

func (e Endpoint) clientConfig() (*ssh.ClientConfig, func(), error) {
	auth, closeAgent, err := e.authentication()
	if err != nil {
		return nil, nil, err
	}
	config := &ssh.ClientConfig{
		User: valueOr(e.User, defaultUser),
		Auth: auth,
		// As published: without an expected key any is accepted.
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec
	}
	if e.HostKey == nil || *e.HostKey == "" {
		return config, closeAgent, nil
	}
	expected, _, _, _, err := ssh.ParseAuthorizedKey([]byte(*e.HostKey))
	if err != nil {
		closeAgent()
		return nil, nil, fmt.Errorf("hostKey of %s cannot be read (wanted: one line like \"ssh-ed25519 AAAA...\"): %w",
			e.Host, err)
	}
	config.HostKeyAlgorithms = algorithmsOf(expected)
	config.HostKeyCallback = func(_ string, _ net.Addr, shown ssh.PublicKey) error {
		if string(shown.Marshal()) == string(expected.Marshal()) {
			return nil
		}
		return fmt.Errorf("%w: %s shows %s, expected %s", errHostKey, e.Host,
			ssh.FingerprintSHA256(shown), ssh.FingerprintSHA256(expected))
	}
	return config, closeAgent, nil
}

// algorithmsOf lists the algorithms with which a server can show this key, so that one with keys of several kinds
// shows the expected one.
func algorithmsOf(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	}
	return []string{key.Type()}
}

// authentication lists the ways to log in: key, agent, password, in this order.
func (e Endpoint) authentication() ([]ssh.AuthMethod, func(), error) {
	var methods []ssh.AuthMethod
	closeAgent := func() {}

	if e.PrivateKey != nil && *e.PrivateKey != "" {
		signer, err := parseKey(*e.PrivateKey, e.PrivateKeyPassword)
		if err != nil {
			return nil, nil, fmt.Errorf("privateKey for %s cannot be used: %w", e.Host, err)
		}
		methods = append(methods, ssh.PublicKeys(signer))
	}

	socket := os.Getenv("SSH_AUTH_SOCK")
	asked := e.AgentSocketPath != nil && *e.AgentSocketPath != ""
	if asked {
		socket = *e.AgentSocketPath
	}
	// The environment's agent is only tried where nothing else is given: its keys would use up the server's
	// allowance of failed attempts.
	if asked || (socket != "" && len(methods) == 0 && e.Password == nil) {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return nil, nil, fmt.Errorf("the SSH agent at %s does not answer: %w", socket, err)
		}
		closeAgent = func() { _ = conn.Close() }
		methods = append(methods, ssh.PublicKeysCallback(agent.NewClient(conn).Signers))
	}

	if e.Password != nil {
		password := *e.Password
		methods = append(methods, ssh.Password(password), ssh.KeyboardInteractive(
			func(_, _ string, questions []string, _ []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range answers {
					answers[i] = password
				}
				return answers, nil
			}))
	}
	return methods, closeAgent, nil
}

func parseKey(text string, password *string) (ssh.Signer, error) {
	if password != nil && *password != "" {
		return ssh.ParsePrivateKeyWithPassphrase([]byte(text), []byte(*password))
	}
	return ssh.ParsePrivateKey([]byte(text))
}

// keepAlive closes the connection when the host no longer answers.
func keepAlive(client *ssh.Client, ended <-chan struct{}) {
	ticker := time.NewTicker(keepAliveInterval)
	defer ticker.Stop()
	answers := make(chan struct{}, 1)
	unanswered := 0
	for {
		select {
		case <-ended:
			return
		case <-answers:
			unanswered = 0
		case <-ticker.C:
			if unanswered++; unanswered > keepAliveMisses {
				_ = client.Close()
				return
			}
			go func() {
				if _, _, err := client.SendRequest("keepalive@openssh.com", true, nil); err == nil {
					select {
					case answers <- struct{}{}:
					default:
					}
				}
			}()
		}
	}
}

func valueOr[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}
