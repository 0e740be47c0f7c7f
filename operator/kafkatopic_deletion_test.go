package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
)

const finalizer = "merchstore.io/kafka-topic"

func (c *cluster) remove(topic *v1alpha1.KafkaTopic) {
	c.t.Helper()
	if err := c.Delete(c.t.Context(), topic); err != nil {
		c.t.Fatal(err)
	}
}

func TestDeletionPolicy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		made, edited func(*v1alpha1.KafkaTopic)
		goes         bool
	}{
		"Retain": {func(*v1alpha1.KafkaTopic) {}, nil, false},
		"Delete": {deleting, nil, true},
		"Delete changed to Retain": {
			deleting, func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.RetainTopic }, false,
		},
		"Retain changed to Delete": {func(*v1alpha1.KafkaTopic) {}, deleting, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			hand := onKafka(t, kafka.Shared(t).Addr())
			o := c.operate(rarely)
			topic := c.topic("orders", tt.made)
			c.must(topic)
			topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
			if tt.edited != nil {
				change(c, topic, tt.edited)
				topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
			}
			if slices.Contains(topic.Finalizers, finalizer) != tt.goes {
				t.Errorf("its finalizers are %v", topic.Finalizers)
			}

			c.remove(topic)
			c.awaitGone(topic)

			if there := hand.id(topic.Topic()) != ""; there == tt.goes {
				t.Errorf("the topic exists: %t", there)
			}
			labels := map[string]string{"name": topic.Name, "namespace": topic.Namespace}
			eventually.True(t, limit, "its end in the metrics", func() bool { return o.metric(t, "merchstore_operator_object_ready", labels) == 0 })
		})
	}
}

func TestReplacedTopicIsNotDeleted(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	o := c.operate(rarely) // it does not notice the replacement
	topic := c.topic("orders", deleting)
	c.must(topic)
	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	hand.remove(topic.Topic())
	hand.create(topic.Topic(), 1, nil)
	id := hand.id(topic.Topic())

	c.remove(topic)
	c.awaitGone(topic)

	if now := hand.id(topic.Topic()); now != id {
		t.Errorf("the topic is %q, want the replaced one, %s", now, id)
	}
	if e := c.awaitEvent(topic, "TopicLeft"); e.Type != "Warning" {
		t.Errorf("the event is a %s", e.Type)
	}
	if n := o.metric(t, "merchstore_operator_finalizers_released_total", map[string]string{"kind": "KafkaTopic"}); n != 0 {
		t.Errorf("%v objects were released", n)
	}
}

func TestDeletionDeadline(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	c := newCluster(t)
	o := c.operate(func(s *Settings) { s.KafkaTopic.DeletionDeadline = 8 * time.Second })
	topic := c.topic("orders", deleting, on(broker.Addr()))
	// The Secrets of a namespace may be deleted before the topic.
	secret := c.kafkaSecret("kafka", map[string]string{"bootstrapServers": broker.Addr()})
	bySecret := c.topic("by-secret", deleting, func(t *v1alpha1.KafkaTopic) {
		t.Spec.Connection, t.Spec.TopicName = v1alpha1.KafkaConnection{SecretName: "kafka"}, "by-secret"
	})
	c.must(topic)
	c.must(bySecret)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	c.awaitTopic(bySecret, true, v1alpha1.ReasonAsDeclared)
	if err := c.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	broker.Kill()

	c.remove(topic)
	c.remove(bySecret)

	seen := c.awaitTopic(topic, false, v1alpha1.ReasonUnreachable) // it waits and reports that
	if seen.DeletionTimestamp.IsZero() || !strings.Contains(message(seen), "connection refused") {
		t.Errorf("message %q, deletion timestamp %v", message(seen), seen.DeletionTimestamp)
	}
	c.awaitTopic(bySecret, false, v1alpha1.ReasonSecretNotFound)
	c.awaitGone(topic)
	c.awaitGone(bySecret)
	if took := time.Since(seen.DeletionTimestamp.Time); took < 8*time.Second {
		t.Errorf("it waited only %v", took)
	}
	if e := c.awaitEvent(topic, "TopicLeft"); e.Type != "Warning" || !strings.Contains(e.Note, "connection refused") {
		t.Errorf("the event is a %s: %s", e.Type, e.Note)
	}
	if n := o.metric(t, "merchstore_operator_finalizers_released_total", map[string]string{"kind": "KafkaTopic"}); n != 2 {
		t.Errorf("%v objects were released, want 2", n)
	}
}

func TestDeletionWaitsForKafka(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	c := newCluster(t)
	c.operate()
	topic := c.topic("orders", deleting, on(broker.Addr()))
	c.must(topic)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	broker.Kill()
	c.remove(topic)
	c.awaitTopic(topic, false, v1alpha1.ReasonUnreachable)

	if err := broker.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}

	c.awaitGone(topic)
	if onKafka(t, broker.Addr()).id(topic.Topic()) != "" {
		t.Error("the topic still exists")
	}
}
