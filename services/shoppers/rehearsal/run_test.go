package rehearsal_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"merchstore.io/merchstore/internal/child"
	"merchstore.io/merchstore/test/stack"
)

// rehearsal is a run of the built program.
type rehearsal struct {
	*child.Process

	t    *testing.T
	said *transcript
}

// transcript is what a program has said so far.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (s *transcript) Write(said []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(said)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *transcript) has(text string) func() bool {
	return func() bool { return strings.Contains(s.String(), text) }
}

func (c *cluster) start(args []string, env ...string) *rehearsal {
	c.t.Helper()
	programs, err := stack.Build(c.t.Context(), "shoppers")
	if err != nil {
		c.t.Fatal(err)
	}
	r := &rehearsal{t: c.t, said: new(transcript)}
	env = append(append(os.Environ(), "KUBECTL="+c.kubectl(), "FAULT_CONTEXT="+contextName, "FAULT_NAMESPACE="+c.namespace), env...) //nolint:forbidigo // PATH and the like
	r.Process, err = child.Start(child.Command{Path: filepath.Join(programs, "shoppers"), Args: args, Env: env, Output: r.said})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		r.Kill()
		<-r.Done()
		if c.t.Failed() {
			c.t.Logf("%q said:\n%s", args, r.said)
		}
	})
	return r
}

// end waits until it has ended, and returns how, and what it has said.
func (r *rehearsal) end() (said string, err error) {
	r.t.Helper()
	select {
	case <-r.Done():
		return r.said.String(), r.Err()
	case <-time.After(limit):
		r.t.Fatal("it does not end")
		return "", nil
	}
}

func (r *rehearsal) interrupt() {
	r.t.Helper()
	if err := r.Signal(os.Interrupt); err != nil {
		r.t.Fatal(err)
	}
}
