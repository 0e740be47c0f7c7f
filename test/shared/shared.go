// Package shared manages what all tests of a binary share, such as a database server. It is started
// by the first test that uses it, so a run without such a test costs nothing, and stopped after the
// last test.
package shared

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Runner runs tests. It is implemented by *testing.M.
type Runner interface{ Run() (code int) }

// Resource is a resource shared by the tests of a binary. It is a global variable of the package
// that provides it, because tests cannot pass values to each other.
type Resource[T any] struct {
	name string

	mu      sync.Mutex
	start   func(dir string) (T, error) // nil while no tests run
	started bool
	dir     *Folder
	value   T
	err     error // the error of start, which is not called again
}

// New returns a resource with a name for messages.
func New[T any](name string) *Resource[T] { return &Resource[T]{name: name} }

// With returns a runner for TestMain that runs the tests of m with the resource, and stops it
// afterwards, also if tests have failed. start gets a folder of its own, which is removed then.
func (r *Resource[T]) With(m Runner, start func(dir string) (T, error), stop func(T) error) Runner {
	return runner(func() (code int) {
		r.mu.Lock()
		r.start = start
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.start = nil
			if r.dir == nil {
				return
			}
			var err error
			if r.err == nil {
				err = stop(r.value)
			}
			if err := errors.Join(err, r.dir.Remove()); err != nil {
				fmt.Fprintf(os.Stderr, "stop the shared %s: %v\n", r.name, err)
				code = max(code, 1)
			}
		}()
		return m.Run()
	})
}

type runner func() int

func (r runner) Run() int { return r() }

// Get returns the resource, and starts it on the first call. The test fails if it cannot be
// started, or if TestMain does not use With.
func (r *Resource[T]) Get(t testing.TB) T {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.start == nil {
		t.Fatalf("TestMain does not provide the shared %s", r.name)
	}
	if !r.started {
		r.started = true
		if r.dir, r.err = NewFolder(); r.err == nil {
			r.value, r.err = r.start(r.dir.Path)
		}
	}
	if r.err != nil {
		t.Fatalf("start the shared %s: %v", r.name, r.err)
	}
	return r.value
}
