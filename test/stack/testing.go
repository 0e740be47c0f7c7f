package stack

import (
	"context"
	"testing"
	"time"
)

const (
	// startTimeout includes building, which takes minutes the first time.
	startTimeout = 10 * time.Minute
	// stopTimeout exceeds the shutdown timeout of a service.
	stopTimeout = 2 * time.Minute
)

// Start starts a stack that is stopped when the test ends. The test fails if Close returns an
// error. If the test has failed, the ends of the services' logs are printed.
func Start(t testing.TB, o Options) *Stack {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatalf("start the store: %v", err)
	}
	processes := s.processes
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("stop the store: %v", err)
		}
		if t.Failed() {
			for _, p := range processes {
				t.Log(p.Log())
			}
		}
	})
	return s
}

// Account creates an account and returns a token of it. The first account of a store is an admin.
func (s *Stack) Account(t testing.TB, username string) (token string) {
	t.Helper()
	const password = "a password for tests"
	if err := s.SignUp(t.Context(), username, password); err != nil {
		t.Fatal(err)
	}
	token, err := s.Login(t.Context(), username, password)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
