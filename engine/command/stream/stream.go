// Package stream captures the output of a command and, line by line, shows it in the engine's diagnostics.
package stream

import (
	"bytes"
	"context"
	"strings"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
)

// Logging says which of a command's streams are shown; both are captured in any case.
type Logging string

// The values of the npm package's `Logging` enumerations (local and remote have one each, with the same members).
const (
	Stdout          Logging = "stdout"
	Stderr          Logging = "stderr"
	StdoutAndStderr Logging = "stdoutAndStderr"
	None            Logging = "none"
)

// Of gives the setting behind an optional input; without one both streams are shown.
func Of[T ~string](setting *T) Logging {
	if setting == nil || *setting == "" {
		return StdoutAndStderr
	}
	return Logging(*setting)
}

// Captured holds both streams of a command while it runs. Its writers may be used from two goroutines at once.
type Captured struct {
	Stdout *Writer
	Stderr *Writer
	// combined is the output in the order in which it came, for error messages.
	combined *locked
}

// Capture prepares to capture a command's streams, showing those that logging names.
func Capture(ctx context.Context, logging Logging) *Captured {
	combined := &locked{}
	logger := p.GetLogger(ctx)
	show := func(enabled bool) func(string) {
		if !enabled {
			return func(string) {}
		}
		return logger.Info
	}
	return &Captured{
		Stdout:   &Writer{combined: combined, line: show(logging == Stdout || logging == StdoutAndStderr)},
		Stderr:   &Writer{combined: combined, line: show(logging == Stderr || logging == StdoutAndStderr)},
		combined: combined,
	}
}

// Flush shows last lines that did not end with a newline.
func (c *Captured) Flush() {
	c.Stdout.flush()
	c.Stderr.flush()
}

// Combined gives all output so far, both streams in the order in which they came.
func (c *Captured) Combined() string { return c.combined.String() }

// Writer captures one stream.
type Writer struct {
	mu       sync.Mutex
	all      bytes.Buffer
	partial  []byte
	combined *locked
	line     func(string)
}

// Write captures a piece of output and shows the lines that it completes.
func (w *Writer) Write(piece []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(piece)
	w.combined.Write(piece)
	w.partial = append(w.partial, piece...)
	for {
		end := bytes.IndexByte(w.partial, '\n')
		if end < 0 {
			return len(piece), nil
		}
		w.line(strings.TrimSuffix(string(w.partial[:end]), "\r"))
		w.partial = w.partial[end+1:]
	}
}

// Text gives what was captured, less one newline at the end.
func (w *Writer) Text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSuffix(w.all.String(), "\n")
}

func (w *Writer) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.partial) > 0 {
		w.line(string(w.partial))
		w.partial = nil
	}
}

type locked struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *locked) Write(piece []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buffer.Write(piece)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}
