package faults_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/stack"
)

// program is a running loadgen.
type program struct {
	*subprocess.Process

	t      *testing.T
	output *buffer
}

// buffer holds the output of a running program.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *buffer) contains(text string) func() bool {
	return func() bool { return strings.Contains(b.String(), text) }
}

// start starts loadgen with the settings that lead to the cluster. Later settings in env win.
func (c *cluster) start(args []string, env ...string) *program {
	c.t.Helper()
	programs, err := stack.Build(c.t.Context(), "loadgen")
	if err != nil {
		c.t.Fatal(err)
	}
	p := &program{t: c.t, output: new(buffer)}
	env = append(append(os.Environ(), "KUBECTL="+c.kubectl(), "FAULT_CONTEXT="+contextName, "FAULT_NAMESPACE="+c.namespace), env...) //nolint:forbidigo // PATH and the like
	p.Process, err = subprocess.Start(subprocess.Command{Path: filepath.Join(programs, "loadgen"), Args: args, Env: env, Output: p.output})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		p.Kill()
		<-p.Done()
		if c.t.Failed() {
			c.t.Logf("output of %q:\n%s", args, p.output)
		}
	})
	return p
}

// wait waits until the program exits, and returns its output.
func (p *program) wait() (output string, err error) {
	p.t.Helper()
	select {
	case <-p.Done():
		return p.output.String(), p.Err()
	case <-time.After(limit):
		p.t.Fatal("it does not exit")
		return "", nil
	}
}

func (p *program) interrupt() {
	p.t.Helper()
	if err := p.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
}
