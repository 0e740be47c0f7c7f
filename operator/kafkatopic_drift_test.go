package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/requeue"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
)

func TestConfigDriftIsCorrected(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"to another value": "5", "to the brokers' default": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			hand := onKafka(t, kafka.Shared(t).Addr())
			o := c.operate()
			topic := c.topic("orders", configured(values{"retention.ms": "1000", "segment.ms": "100000"}))
			c.must(topic)
			topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)

			hand.set(topic.Topic(), "retention.ms", value)
			hand.set(topic.Topic(), "max.message.bytes", "2000") // not managed

			e := c.awaitEvent(topic, "DriftCorrected")
			if e.Type != "Warning" || !strings.Contains(e.Note, "retention.ms") || strings.Contains(e.Note, "max.message.bytes") {
				t.Errorf("the event is a %s: %s", e.Type, e.Note)
			}
			eventually.True(t, limit, "the setting", func() bool { return hand.config(topic.Topic())["retention.ms"] == "1000" })
			wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "1000", "segment.ms": "100000", "max.message.bytes": "2000"})
			o.awaitReconciles(t)
			if n := o.corrections(t, topic); n != 1 {
				t.Errorf("%v drift corrections, want 1", n)
			}
			if n := o.alters(t); n != 2 {
				t.Errorf("%v calls to create and correct the topic, want 2", n)
			}
		})
	}
}

func TestDefaultsFindDriftWithinAMinute(t *testing.T) {
	t.Parallel()
	s, err := settings.Parse[Settings]([]string{"WATCH_NAMESPACES=shop"})
	if err != nil {
		t.Fatal(err)
	}
	if again := requeue.After(s.Resync).RequeueAfter; again <= 0 || s.Resync+s.KafkaTopic.CallTimeout > time.Minute {
		t.Errorf("the resync interval is %v, and the timeout of calls to Kafka %v", s.Resync, s.KafkaTopic.CallTimeout)
	}
}

func TestVanishedTopicIsCreatedAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	o := c.operate()
	topic := c.topic("orders", configured(values{"retention.ms": "1000"}))
	c.must(topic)
	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	old := topic.Status.TopicID

	hand.remove(topic.Topic())

	e := c.awaitEvent(topic, "TopicVanished")
	if e.Type != "Warning" {
		t.Errorf("the event is a %s", e.Type)
	}
	topic = await(c, topic, new(v1alpha1.KafkaTopicList), "another topic", func(t *v1alpha1.KafkaTopic) bool { return t.Status.TopicID != old })
	if id := hand.id(topic.Topic()); topic.Status.TopicID != id {
		t.Errorf("the status has topic %s, want %s", topic.Status.TopicID, id)
	}
	wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "1000"})
	o.awaitReconciles(t)
	if n := o.corrections(t, topic); n != 1 {
		t.Errorf("%v drift corrections, want 1", n)
	}
	if got := c.events(topic); slices.Contains(got, "TopicReplaced") {
		t.Errorf("the operator mistakes its own topic for a replaced one: %v", got)
	}
}

func TestReplacedTopicIsAdopted(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	first := c.operate()
	topic := c.topic("orders", configured(values{"retention.ms": "1000", "segment.ms": "100000"}), func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = 2 })
	c.must(topic)
	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	old := topic.Status.TopicID
	first.stop() // otherwise it would create the topic

	hand.remove(topic.Topic())
	hand.create(topic.Topic(), 1, map[string]string{"retention.ms": "5", "segment.ms": "200000", "max.message.bytes": "2000"})
	change(c, topic, func(t *v1alpha1.KafkaTopic) { delete(t.Spec.Config, "segment.ms") })
	o := c.operate()

	if e := c.awaitEvent(topic, "TopicReplaced"); e.Type != "Warning" {
		t.Errorf("the event is a %s", e.Type)
	}
	topic = await(c, topic, new(v1alpha1.KafkaTopicList), "another topic", func(t *v1alpha1.KafkaTopic) bool { return t.Status.TopicID != old })
	if id := hand.id(topic.Topic()); topic.Status.TopicID != id {
		t.Errorf("the status has topic %s, want %s", topic.Status.TopicID, id)
	}
	// The declared setting and partitions are corrected. The setting that the object managed in the
	// old topic is not managed in this one.
	wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "1000", "segment.ms": "200000", "max.message.bytes": "2000"})
	if n := hand.partitions(topic.Topic()); n != 2 {
		t.Errorf("%d partitions, want 2", n)
	}
	if n := o.corrections(t, topic); n != 1 {
		t.Errorf("%v drift corrections, want 1", n)
	}
}

func TestPausedTopicIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	o := c.operate()
	topic := c.topic("orders", deleting, configured(values{"retention.ms": "1000"}))
	c.must(topic)
	before := c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)

	change(c, topic, func(t *v1alpha1.KafkaTopic) { t.Spec.Paused = true })
	topic = c.awaitTopic(topic, false, v1alpha1.ReasonPaused)

	if s := topic.Status; s.TopicID != before.Status.TopicID || s.ClusterID != before.Status.ClusterID || s.Partitions != 1 ||
		!slices.Equal(s.ManagedConfig, before.Status.ManagedConfig) {
		t.Errorf("its status is %+v", s)
	}
	hand.set(topic.Topic(), "retention.ms", "5")
	labels := map[string]string{"system": "kafka"}
	calls := o.metric(t, "merchstore_operator_call_seconds", labels)
	other := c.topic("other", func(t *v1alpha1.KafkaTopic) { t.Spec.Paused, t.Spec.TopicName = true, c.namespace+".other" })
	c.must(other)
	c.awaitTopic(other, false, v1alpha1.ReasonPaused)
	reconciles := func() float64 {
		return o.metric(t, "controller_runtime_reconcile_total", map[string]string{"controller": "kafkatopic"})
	}
	seen := reconciles()
	eventually.True(t, limit, "more reconciles", func() bool { return reconciles() > seen+2 })
	if n := o.metric(t, "merchstore_operator_call_seconds", labels); n != calls {
		t.Errorf("%v calls were made to Kafka", n-calls)
	}

	change(c, topic, func(t *v1alpha1.KafkaTopic) { t.Spec.Paused = false })
	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "1000"})

	change(c, topic, func(t *v1alpha1.KafkaTopic) { t.Spec.Paused = true })
	c.awaitTopic(topic, false, v1alpha1.ReasonPaused)
	if err := c.Delete(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	c.awaitGone(topic)
	if hand.id(topic.Topic()) != before.Status.TopicID {
		t.Error("the topic was deleted although its object was paused")
	}
}

// If the operator crashed after changing Kafka, it would not know which settings it manages.
func TestKafkaIsNotChangedIfTheStatusCannotBeWritten(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	topic := c.topic("orders", configured(values{"retention.ms": "1000"}))
	hand.create(topic.Topic(), 1, nil)
	missing := c.topic("missing", configured(values{"retention.ms": "1000"}), func(t *v1alpha1.KafkaTopic) { t.Spec.TopicName += ".missing" })
	c.must(topic)
	c.must(missing)

	o := c.operate(func(s *Settings) { s.Kubeconfig = c.roleWithout("kafkatopics/status") })

	o.awaitUp(t)
	eventually.True(t, limit, "attempts", func() bool {
		return o.alters(t) > 0 || o.metric(t, "merchstore_operator_call_seconds", map[string]string{"operation": "validate", "outcome": "ok"}) >= 4
	})
	if n := o.alters(t); n != 0 {
		t.Errorf("%v calls have changed Kafka", n)
	}
	if hand.id(missing.Topic()) != "" {
		t.Error("a topic was created")
	}
	wantConfig(t, hand.config(topic.Topic()), map[string]string{})
}

// roleWithout returns a kubeconfig with the operator's role, without one resource.
func (c *cluster) roleWithout(resource string) (kubeconfig string) {
	c.t.Helper()
	rights, err := os.ReadFile(role)
	if err != nil || !strings.Contains(string(rights), "- "+resource+"\n") {
		c.t.Fatalf("the role has no %s: %v", resource, err)
	}
	file := filepath.Join(c.t.TempDir(), "role.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(string(rights), "- "+resource+"\n", "- nothing\n", 1)), 0o600); err != nil {
		c.t.Fatal(err)
	}
	plane := controlplane.Shared(c.t)
	return plane.Kubeconfig(c.t, plane.Grant(c.t, c.namespace, file))
}
