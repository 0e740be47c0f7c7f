package kafka

import (
	"context"
	"testing"

	"merchstore.io/merchstore/test/shared"
)

var sharedBroker = shared.New[*Broker]("Kafka broker")

// StopAfter returns a runner for TestMain that lets the tests of m call Shared, and stops the
// broker after them.
func StopAfter(m shared.Runner) shared.Runner {
	return sharedBroker.With(m, func(dir string) (*Broker, error) {
		return Start(context.Background(), dir) // outlives the test that calls Shared first
	}, (*Broker).Stop)
}

// Shared returns the broker shared by all tests of this binary. The first call starts it. Tests
// must not stop or pause it, and use topics of their own, see [Broker.Topic].
func Shared(t testing.TB) *Broker {
	t.Helper()
	return sharedBroker.Get(t)
}
