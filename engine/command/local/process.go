package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"vmpool.invalid/engine/command/stream"
)

// killGrace is how long a cancelled command may take to end by itself after SIGTERM.
const killGrace = 5 * time.Second

// run runs a command to its end and gathers what it leaves. The error names the command and holds its output.
func run(ctx context.Context, command string, settings Settings, previous *Results) (Results, error) {
	interpreter := []string{"/bin/sh", "-c"}
	if settings.Interpreter != nil && len(*settings.Interpreter) > 0 {
		interpreter = *settings.Interpreter
	}
	cmd := exec.Command(interpreter[0], append(append([]string{}, interpreter[1:]...), command)...)
	cmd.Env = environment(settings, previous)
	if settings.Dir != nil {
		cmd.Dir = *settings.Dir
	}
	if settings.Stdin != nil {
		cmd.Stdin = strings.NewReader(*settings.Stdin)
	}

	captured := stream.Capture(ctx, stream.Of(settings.Logging))
	err := runInGroup(ctx, cmd, captured)
	captured.Flush()
	if err != nil {
		return Results{}, fmt.Errorf("%w: running %q:\n%s", err, command, captured.Combined())
	}
	results := Results{Stdout: captured.Stdout.Text(), Stderr: captured.Stderr.Text()}
	if err := gather(settings, &results); err != nil {
		return Results{}, fmt.Errorf("gathering the files that %q left: %w", command, err)
	}
	return results, nil
}

func environment(settings Settings, previous *Results) []string {
	env := os.Environ()
	if previous != nil && (settings.AddPreviousOutputInEnv == nil || *settings.AddPreviousOutputInEnv) {
		env = append(env, "PULUMI_COMMAND_STDOUT="+previous.Stdout, "PULUMI_COMMAND_STDERR="+previous.Stderr)
	}
	if settings.Environment != nil {
		for name, value := range *settings.Environment {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// runInGroup runs a command in a process group of its own, so that a cancelled update ends all that it started:
// SIGTERM first, SIGKILL after a grace time.
func runInGroup(ctx context.Context, cmd *exec.Cmd, captured *stream.Captured) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	// Pipes of our own, not exec's: only these can be given up when a process that left the group holds them open.
	var readers []*os.File
	var copies sync.WaitGroup
	connect := func(to *stream.Writer) (*os.File, error) {
		reader, writer, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		readers = append(readers, reader)
		copies.Add(1)
		go func() {
			defer copies.Done()
			_, _ = io.Copy(to, reader)
		}()
		return writer, nil
	}
	closeReaders := func() {
		for _, reader := range readers {
			_ = reader.Close()
		}
	}
	defer closeReaders()

	stdout, err := connect(captured.Stdout)
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr, err := connect(captured.Stderr)
	if err != nil {
		return err
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr

	if err := cmd.Start(); err != nil {
		return err
	}
	_ = stdout.Close()
	_ = stderr.Close()

	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		copies.Wait()
		ended <- err
	}()
	select {
	case err := <-ended:
		return exitError(err)
	case <-ctx.Done():
	}

	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(killGrace):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		closeReaders()
		<-ended
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("timed out (customTimeouts of the resource)")
	}
	return errors.New("cancelled")
}

// exitError keeps the plain "exit status N" of a failed command.
func exitError(err error) error {
	var status *exec.ExitError
	if errors.As(err, &status) {
		return errors.New(status.Error())
	}
	return err
}
