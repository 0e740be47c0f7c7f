package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// TestUnreachableClusterDoesNotDelayOthers uses brokers that accept connections and never answer,
// with many more objects than workers. One after the other, each would hold a worker for seconds.
func TestUnreachableClusterDoesNotDelayOthers(t *testing.T) {
	t.Parallel()
	const clusters, objects = 3, 30
	c := newCluster(t)
	var last *v1alpha1.KafkaTopic
	for i := range clusters {
		silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = silent.Close() })
		for j := range objects {
			last = c.topic(fmt.Sprintf("silent-%d-%d", i, j), on(silent.Addr().String()))
			c.must(last)
		}
	}
	c.operate(func(s *Settings) { s.KafkaTopic.CallTimeout = 20 * time.Second })
	c.awaitTopic(last, false, v1alpha1.ReasonUnreachable)

	began := time.Now()
	topic := c.topic("orders", configured(values{"retention.ms": "1000"}))
	c.must(topic)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	change(c, topic, configured(values{"retention.ms": "2000"}))
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)

	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("another cluster's topic took %s", took)
	}
}

// TestReconcilesDoNotReadAllObjects: with many objects, each would otherwise transfer all of them.
func TestReconcilesDoNotReadAllObjects(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var all atomic.Int64
	c.operate(c.through(func(r *http.Request) bool {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/kafkatopics") && !r.URL.Query().Has("watch") && !r.URL.Query().Has("fieldSelector") {
			all.Add(1)
		}
		return true
	}))
	const objects = 10
	for i := range objects {
		topic := c.topic(fmt.Sprintf("topic-%d", i), func(t *v1alpha1.KafkaTopic) { t.Spec.TopicName = "" })
		topic.Name = c.namespace + "." + topic.Name // the topic's name, and unique
		c.must(topic)
		c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	}
	if n := all.Load(); n >= objects {
		t.Errorf("all objects were read %d times", n)
	}
}
