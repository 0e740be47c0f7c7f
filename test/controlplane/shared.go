package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// Runner is what TestMain runs: *testing.M, or a wrapper of it.
type Runner interface{ Run() (code int) }

// With lets the tests of m call Shared, and stops and removes the control plane, when there is one, after the last of them, also
// when tests fail. crds is a folder of YAML files with the CustomResourceDefinitions that it shall have, or empty.
func With(m Runner, crds string) Runner { return &runner{tests: m, crds: crds} }

// Shared returns the control plane of this test binary, started by the first test that asks. It belongs to all tests, which may
// run at the same time: none may stop it, and each has a namespace of its own ([ControlPlane.Namespace]).
func Shared(t testing.TB) *ControlPlane {
	t.Helper()
	r := current.Load()
	if r == nil {
		t.Fatal(`controlplane.Shared needs: func TestMain(m *testing.M) { os.Exit(controlplane.With(m, "").Run()) }`)
	}
	plane, err := r.shared()
	if err != nil {
		t.Fatalf("the control plane of all tests: %v", err)
	}
	return plane
}

// current is the runner of this test binary: tests are plain functions, so there is no other way to hand it to them.
var current atomic.Pointer[runner]

type runner struct {
	tests Runner
	crds  string

	mu     sync.Mutex
	dir    string
	plane  *ControlPlane
	failed error // of the start, which is not tried twice
}

// Run runs the tests.
func (r *runner) Run() (code int) {
	if !current.CompareAndSwap(nil, r) {
		fmt.Fprintln(os.Stderr, "controlplane.With is used twice in one test binary")
		return 2
	}
	defer func() {
		current.Store(nil)
		if err := r.close(); err != nil {
			fmt.Fprintln(os.Stderr, "ending the control plane of all tests:", err)
			code = max(code, 1)
		}
	}()
	return r.tests.Run()
}

func (r *runner) shared() (*ControlPlane, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.plane == nil && r.failed == nil {
		r.failed = r.start()
	}
	return r.plane, r.failed
}

func (r *runner) start() error {
	var err error
	if r.dir, err = os.MkdirTemp("", "merchstore-controlplane-"); err != nil {
		return fmt.Errorf("make its folder: %w", err)
	}
	// Not the context of the test that happens to be the first: the control plane outlives it.
	ctx := context.Background()
	if r.plane, err = Start(ctx, r.dir); err != nil {
		return err
	}
	if r.crds == "" {
		return nil
	}
	return r.plane.InstallCRDs(ctx, r.crds)
}

func (r *runner) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.plane != nil {
		err = r.plane.Stop()
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}
