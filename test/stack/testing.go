package stack

import (
	"context"
	"testing"
	"time"
)

const (
	// startTimeout includes the first build, which takes minutes.
	startTimeout = 10 * time.Minute
	// stopTimeout is above what every service allows itself, one after the other.
	stopTimeout = 2 * time.Minute
)

// Start starts a stack for one test and stops it at the test's end. The test fails when a service ends unasked or with an error, or
// has a data race; when it fails, the ends of the services' logs are shown.
func Start(t testing.TB, o Options) *Stack {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatalf("starting the store: %v", err)
	}
	processes := s.processes
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("stopping the store: %v", err)
		}
		if t.Failed() {
			for _, p := range processes {
				t.Log(p.Log())
			}
		}
	})
	return s
}

// Account signs somebody up and returns a token. The first account of a store is its admin.
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
