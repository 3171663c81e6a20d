package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"golang.org/x/crypto/ssh"

	"vmpool.invalid/engine/command/stream"
)

const (
	// idRandomBytes is the length of a resource's id, as in the published plugin.
	idRandomBytes = 8
	// signalGrace is how long a cancelled remote command may take to end by itself after SIGTERM.
	signalGrace = 2 * time.Second
	// endLimit is how long ending it by other means may take.
	endLimit = 10 * time.Second
)

// Command is the resource command:remote:Command.
type Command struct{}

// CommandArgs are its inputs.
type CommandArgs struct {
	Connection             Connection         `pulumi:"connection" provider:"secret"`
	Environment            *map[string]string `pulumi:"environment,optional"`
	Stdin                  *string            `pulumi:"stdin,optional"`
	Logging                *Logging           `pulumi:"logging,optional"`
	AddPreviousOutputInEnv *bool              `pulumi:"addPreviousOutputInEnv,optional"`
	Create                 *string            `pulumi:"create,optional"`
	Update                 *string            `pulumi:"update,optional"`
	Delete                 *string            `pulumi:"delete,optional"`
	Triggers               *[]any             `pulumi:"triggers,optional" provider:"replaceOnChanges"`
}

// Results are what a command leaves.
type Results struct {
	Stdout string `pulumi:"stdout"`
	Stderr string `pulumi:"stderr"`
}

// CommandState is what the state keeps of it.
type CommandState struct {
	CommandArgs
	Results
}

// Annotate describes the resource in the schema.
func (c *Command) Annotate(a infer.Annotator) {
	a.Describe(&c, "A command run on another host, over SSH.")
}

// Annotate describes the inputs in the schema.
func (c *CommandArgs) Annotate(a infer.Annotator) {
	a.Describe(&c.Connection, "How to reach the host.")
	a.Describe(&c.Environment, "Variables of the command's environment. The server must accept them (AcceptEnv).")
	a.Describe(&c.Stdin, "What the command reads from its standard input.")
	a.Describe(&c.Logging, "Which streams are shown while the command runs. Both are captured in any case.")
	a.Describe(&c.AddPreviousOutputInEnv, "Whether the output of the command before is given to the next one in "+
		"PULUMI_COMMAND_STDOUT and PULUMI_COMMAND_STDERR, if the server accepts these. Default: true.")
	a.Describe(&c.Create, "Command to run when the resource is created, and when its inputs change and there is no update.")
	a.Describe(&c.Update, "Command to run when the inputs change.")
	a.Describe(&c.Delete, "Command to run when the resource is deleted.")
	a.Describe(&c.Triggers, "Values of any kind: when one changes, the resource is replaced.")
}

// Annotate describes the outputs in the schema.
func (r *Results) Annotate(a infer.Annotator) {
	a.Describe(&r.Stdout, "What the command wrote to its standard output, less one newline at the end.")
	a.Describe(&r.Stderr, "What the command wrote to its standard error, less one newline at the end.")
}

// WireDependencies lets secrets flow: the output of a command that was given a secret is secret. The connection,
// secret in any case, does not make the output secret.
func (*Command) WireDependencies(f infer.FieldSelector, args *CommandArgs, state *CommandState) {
	same := func(out, in any) { f.OutputField(out).DependsOn(f.InputField(in).Secret()) }
	f.OutputField(&state.Connection).AlwaysSecret()
	same(&state.Environment, &args.Environment)
	same(&state.Stdin, &args.Stdin)
	same(&state.Logging, &args.Logging)
	same(&state.AddPreviousOutputInEnv, &args.AddPreviousOutputInEnv)
	same(&state.Create, &args.Create)
	same(&state.Update, &args.Update)
	same(&state.Delete, &args.Delete)
	same(&state.Triggers, &args.Triggers)
	for _, result := range []any{&state.Stdout, &state.Stderr} {
		for _, source := range []any{&args.Create, &args.Update, &args.Environment, &args.Stdin} {
			same(result, source)
		}
	}
}

// Create runs the create command, if there is one. In a preview nothing is connected to.
func (*Command) Create(
	ctx context.Context, req infer.CreateRequest[CommandArgs],
) (infer.CreateResponse[CommandState], error) {
	id, err := resource.NewUniqueHex(req.Name, idRandomBytes, 0)
	if err != nil {
		return infer.CreateResponse[CommandState]{}, err
	}
	state := CommandState{CommandArgs: req.Inputs}
	if !req.DryRun && req.Inputs.Create != nil {
		state.Results, err = run(ctx, *req.Inputs.Create, req.Inputs, nil)
	}
	return infer.CreateResponse[CommandState]{ID: id, Output: state}, err
}

// Update runs the update command, or else the create command. In a preview nothing is connected to.
func (*Command) Update(
	ctx context.Context, req infer.UpdateRequest[CommandArgs, CommandState],
) (infer.UpdateResponse[CommandState], error) {
	state := CommandState{CommandArgs: req.Inputs, Results: req.State.Results}
	command := req.Inputs.Update
	if command == nil {
		command = req.Inputs.Create
	}
	if req.DryRun || command == nil {
		return infer.UpdateResponse[CommandState]{Output: state}, nil
	}
	var err error
	state.Results, err = run(ctx, *command, req.Inputs, &req.State.Results)
	return infer.UpdateResponse[CommandState]{Output: state}, err
}

// Delete runs the delete command, if there is one.
func (*Command) Delete(ctx context.Context, req infer.DeleteRequest[CommandState]) (infer.DeleteResponse, error) {
	if req.State.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	_, err := run(ctx, *req.State.Delete, req.State.CommandArgs, &req.State.Results)
	return infer.DeleteResponse{}, err
}

// run runs one command over a connection of its own. The error names the command and holds its output.
func run(ctx context.Context, command string, args CommandArgs, previous *Results) (Results, error) {
	client, err := args.Connection.dial(ctx)
	if err != nil {
		return Results{}, err
	}
	defer client.Close()
	shell, err := client.NewSession()
	if err != nil {
		return Results{}, fmt.Errorf("opening a session on %s: %w", args.Connection.Host, err)
	}
	defer shell.Close()
	if err := setEnvironment(ctx, shell, args, previous); err != nil {
		return Results{}, err
	}

	captured := stream.Capture(ctx, stream.Of(args.Logging))
	shell.Stdout, shell.Stderr = captured.Stdout, captured.Stderr
	if args.Stdin != nil {
		shell.Stdin = strings.NewReader(*args.Stdin)
	}
	stop := context.AfterFunc(ctx, func() { _ = shell.Signal(ssh.SIGTERM) })
	defer stop()
	if err = shell.Start(command); err == nil {
		err = wait(ctx, client, shell)
	}
	captured.Flush()
	if err != nil {
		return Results{}, fmt.Errorf("%w: running %q on %s:\n%s", err, command, args.Connection.Host, captured.Combined())
	}
	return Results{Stdout: captured.Stdout.Text(), Stderr: captured.Stderr.Text()}, nil
}

// wait waits for the command's end, and not much longer than ctx.
func wait(ctx context.Context, client *session, shell *ssh.Session) error {
	ended := make(chan error, 1)
	go func() { ended <- shell.Wait() }()
	select {
	case err := <-ended:
		if ctx.Err() != nil {
			return cancelled(ctx)
		}
		return err
	case <-ctx.Done():
	}
	select {
	case <-ended:
	case <-time.After(signalGrace):
		client.endCommands()
	}
	return cancelled(ctx)
}

// endScript ends what was started over the connection that it runs over: all such processes, and no others, carry
// that connection's addresses and ports in their environment.
const endScript = `sh -c 'for signal in TERM KILL; do for dir in /proc/[0-9]*; do pid=${dir#/proc/}; ` +
	`[ "$pid" = "$$" ] && continue; tr "\0" "\n" <$dir/environ 2>/dev/null | ` +
	`grep -qxF "SSH_CONNECTION=$SSH_CONNECTION" && kill -$signal $pid; done; sleep 1; done'`

// endCommands ends commands that a signal did not reach: OpenSSH passes none on to a command of root's. It works on
// Linux hosts; on others the connection is closed and the command left.
func (s *session) endCommands() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if shell, err := s.NewSession(); err == nil {
			defer shell.Close()
			_ = shell.Run(endScript)
		}
	}()
	select {
	case <-ended:
	case <-time.After(endLimit):
	}
}

func cancelled(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("timed out (customTimeouts of the resource)")
	}
	return errors.New("cancelled")
}

func setEnvironment(ctx context.Context, shell *ssh.Session, args CommandArgs, previous *Results) error {
	if previous != nil && valueOr(args.AddPreviousOutputInEnv, true) {
		// Few servers accept these, and few commands need them: a refusal is no failure.
		for name, value := range map[string]string{
			"PULUMI_COMMAND_STDOUT": previous.Stdout, "PULUMI_COMMAND_STDERR": previous.Stderr,
		} {
			if err := shell.Setenv(name, value); err != nil {
				p.GetLogger(ctx).Debugf("%s does not accept %s: %v", args.Connection.Host, name, err)
			}
		}
	}
	if args.Environment == nil {
		return nil
	}
	for name, value := range *args.Environment {
		if err := shell.Setenv(name, value); err != nil {
			return fmt.Errorf("%s does not accept the variable %s: name it in AcceptEnv of its sshd_config, "+
				"or write it before the command (%s=value command): %w", args.Connection.Host, name, name, err)
		}
	}
	return nil
}
