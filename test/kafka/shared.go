package kafka

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is a global because a test binary is one program with one broker: tests can't hand things to each other.
var shared struct {
	sync.Mutex
	stopped bool // whether [StopAfter] will stop the broker
	dir     string
	broker  *Broker
	err     error
}

// Shared returns the broker of this test binary, started by the first test that asks. It belongs to all tests, which may run at the
// same time: none may stop it or pause it, and each has its own topics ([Broker.Topic]). TestMain must call [Main] or use [StopAfter].
func Shared(t testing.TB) *Broker {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.stopped {
		t.Fatal("kafka.Shared needs func TestMain(m *testing.M) { kafka.Main(m) }")
	}
	if shared.broker == nil && shared.err == nil {
		shared.broker, shared.err = startShared()
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.broker
}

func startShared() (*Broker, error) {
	var err error
	if shared.dir, err = os.MkdirTemp("", "merchstore-kafka-"); err != nil {
		return nil, fmt.Errorf("making the shared broker's directory: %w", err)
	}
	// Not the context of the test that happens to be the first: the broker outlives it.
	return Start(context.Background(), shared.dir)
}

// Main runs a package's tests, stops the shared broker and exits.
func Main(m *testing.M) { os.Exit(StopAfter(m).Run()) }

// Runner is what a TestMain function gets, or something around it.
type Runner interface{ Run() (code int) }

// StopAfter is m with the shared broker stopped at its end, for a TestMain that has more to do:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(kafka.StopAfter(m)) }
func StopAfter(m Runner) Runner {
	shared.Lock()
	defer shared.Unlock()
	shared.stopped = true
	return stopAfter{m}
}

type stopAfter struct{ Runner }

func (s stopAfter) Run() int {
	code := s.Runner.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.broker != nil {
		if err := shared.broker.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		shared.broker = nil
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	return code
}
