package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/kafka"
)

// through puts a proxy between the operator and the API server. Requests fail if pass returns
// false.
func (c *cluster) through(pass func(*http.Request) bool) func(*Settings) {
	c.t.Helper()
	plane := controlplane.Shared(c.t)
	user := plane.Grant(c.t, c.namespace, role)
	transport, err := rest.TransportFor(user)
	if err != nil {
		c.t.Fatal(err)
	}
	target, err := url.Parse(user.Host)
	if err != nil {
		c.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport:    transport,
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !pass(r) {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	c.t.Cleanup(server.Close)
	return func(s *Settings) { s.Kubeconfig = plane.Kubeconfig(c.t, &rest.Config{Host: server.URL}) }
}

// Without the status, the operator would mistake a topic that it has created again for a replaced
// one.
func TestStatusIsWrittenAfterAConcurrentSpecChange(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	topic := c.topic("orders", configured(values{"retention.ms": "1000"}))
	var armed atomic.Bool
	o := c.operate(c.through(func(r *http.Request) bool {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/orders/status") && armed.CompareAndSwap(true, false) {
			change(c, topic.DeepCopy(), configured(values{"retention.ms": "2000"}))
		}
		return true
	}))
	c.must(topic)
	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	armed.Store(true)

	hand.remove(topic.Topic())

	c.awaitEvent(topic, "TopicVanished")
	seen := await(c, topic, new(v1alpha1.KafkaTopicList), "the second spec", func(t *v1alpha1.KafkaTopic) bool {
		return t.Generation > topic.Generation && is(t, v1alpha1.Ready, true, v1alpha1.ReasonAsDeclared)
	})
	if id := hand.id(topic.Topic()); seen.Status.TopicID != id {
		t.Errorf("the status has topic %s, want %s", seen.Status.TopicID, id)
	}
	wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "2000"})
	o.awaitReconciles(t)
	if got := c.events(topic); slices.Contains(got, "TopicReplaced") || o.corrections(t, topic) != 1 {
		t.Errorf("the operator mistakes its own topic for a replaced one: %v", got)
	}
}

func TestDeletionDeadlineWhileTheAPIServerFails(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var broken atomic.Bool
	o := c.operate(func(s *Settings) { s.KafkaTopic.DeletionDeadline = 3 * time.Second }, c.through(func(r *http.Request) bool {
		return !broken.Load() || r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/kafkatopics/orders") // uncached reads
	}))
	topic := c.topic("orders", deleting)
	c.must(topic)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	broken.Store(true)

	c.remove(topic)

	c.awaitGone(topic)
	if e := c.awaitEvent(topic, "TopicLeft"); e.Type != "Warning" || !strings.Contains(e.Note, "could not be deleted within 3s") {
		t.Errorf("the event is a %s: %s", e.Type, e.Note)
	}
	if n := o.metric(t, "merchstore_operator_finalizers_released_total", map[string]string{"kind": "KafkaTopic"}); n != 1 {
		t.Errorf("%v objects were released, want 1", n)
	}
	if onKafka(t, kafka.Shared(t).Addr()).id(topic.Topic()) == "" {
		t.Error("the topic was deleted although the API server did not confirm the deletion of its object")
	}
}
