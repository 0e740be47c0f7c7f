package kafkatopic

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
)

// unused is an address where nothing listens.
var unused = connection{servers: "127.0.0.1:1"}

func newTestClients(t *testing.T, timeout, idle time.Duration) *clients {
	t.Helper()
	c := newClients(timeout, idle, report.NewMetrics(prometheus.NewRegistry()))
	t.Cleanup(c.close)
	return c
}

func acquire(t *testing.T, c *clients, to connection) *kafkaClient {
	t.Helper()
	k, err := c.acquire(to)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func closed(k *kafkaClient) bool { return k.client.Context().Err() != nil }

func TestBrokerThatDoesNotListen(t *testing.T) {
	t.Parallel()
	k := acquire(t, newTestClients(t, 30*time.Second, time.Minute), unused)
	for range 2 {
		start := time.Now()
		_, err := k.clusterID(t.Context())
		if !hasReason(err, v1alpha1.ReasonUnreachable) {
			t.Fatalf("%v is not a problem", err)
		}
		if want := "unable to dial: dial tcp 127.0.0.1:1: connect: connection refused"; err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

func TestBrokerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	k := acquire(t, newTestClients(t, time.Second, time.Minute), connection{servers: listener.Addr().String()})
	_, err = k.clusterID(t.Context())
	if !hasReason(err, v1alpha1.ReasonUnreachable) || err.Error() != "no answer within 1s" {
		t.Errorf("%v", err)
	}
}

func TestCancelledReconcileIsNotAProblem(t *testing.T) {
	t.Parallel()
	k := acquire(t, newTestClients(t, time.Minute, time.Minute), unused)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := k.clusterID(ctx)
	if !errors.Is(err, context.Canceled) || hasReason(err, v1alpha1.ReasonUnreachable) {
		t.Errorf("%v", err)
	}
}

func TestClientsAreShared(t *testing.T) {
	t.Parallel()
	c := newTestClients(t, time.Minute, time.Minute)
	a, b := acquire(t, c, unused), acquire(t, c, unused)
	rotated := unused
	rotated.password = "rotated"
	if a != b {
		t.Error("a connection has two clients")
	}
	if acquire(t, c, rotated) == a {
		t.Error("another password has the same client")
	}
	c.release(a)
	if acquire(t, c, unused) != a {
		t.Error("a released client is not used again")
	}
	c.close()
	if !closed(a) {
		t.Error("the client is not closed")
	}
}

func TestIdleClientsAreClosed(t *testing.T) {
	t.Parallel()
	c := newTestClients(t, time.Minute, 0)
	idle, other := unused, unused
	idle.username, other.username = "idle", "other"
	used := acquire(t, c, unused)
	released := acquire(t, c, idle)
	c.release(released)
	acquire(t, c, other)
	if !closed(released) {
		t.Error("an idle client is not closed")
	}
	if closed(used) {
		t.Error("a client in use is closed")
	}
	if acquire(t, c, idle) == released {
		t.Error("a closed client is handed out")
	}
}

// Brokers before Kafka 2.8 report no topic ids.
func TestIDsAreRequired(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	k := acquire(t, newTestClients(t, time.Minute, time.Minute), connection{servers: cluster.ListenAddrs()[0]})
	found, err := k.find(t.Context(), "orders")
	if err != nil || found == nil || found.partitions != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		resp.Topics = []kmsg.MetadataResponseTopic{{Topic: kmsg.StringPtr("orders")}}
		return resp, nil, true
	})
	if _, err := k.clusterID(t.Context()); !hasReason(err, v1alpha1.ReasonRefused) {
		t.Errorf("no cluster id: %v", err)
	}
	if _, err := k.find(t.Context(), "orders"); !hasReason(err, v1alpha1.ReasonRefused) {
		t.Errorf("no topic id: %v", err)
	}
	if _, err := k.describe(t.Context(), "orders"); !hasReason(err, v1alpha1.ReasonRefused) {
		t.Errorf("no topic id: %v", err)
	}
}

func TestCircuitOpensWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	k := acquire(t, newTestClients(t, time.Minute, time.Minute), unused)
	probe := func(context.Context) error { return nil }
	if err := k.circuit.enter(t.Context(), probe); err != nil {
		t.Fatal(err)
	}
	k.circuit.leave(k.problem(kerr.NotController))
	if err := k.circuit.enter(t.Context(), probe); err != nil {
		t.Errorf("after a broker's answer: %v", err)
	}
	k.circuit.leave(k.problem(io.EOF))
	if err := k.circuit.enter(t.Context(), probe); !errors.Is(err, errNotYet) {
		t.Errorf("after no answer: %v", err)
	}
}
