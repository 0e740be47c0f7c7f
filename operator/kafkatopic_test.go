package main

import (
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	eventsv1 "k8s.io/api/events/v1"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
)

type values = map[string]v1alpha1.ConfigValue

// topic returns an object for a topic of one partition that is unique to the test, on the shared
// brokers.
func (c *cluster) topic(name string, change ...func(*v1alpha1.KafkaTopic)) *v1alpha1.KafkaTopic {
	t := &v1alpha1.KafkaTopic{ObjectMeta: c.meta(name), Spec: v1alpha1.KafkaTopicSpec{
		Connection: v1alpha1.KafkaConnection{BootstrapServers: kafka.Shared(c.t).Addr()}, TopicName: c.namespace + ".orders",
		Partitions: 1, ReplicationFactor: 1,
	}}
	for _, f := range change {
		f(t)
	}
	return t
}

func configured(config values) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) { t.Spec.Config = config }
}

func deleting(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeleteTopic }

func rarely(s *Settings) { s.Resync = 1 << 42 } // more than an hour, so that only events trigger reconciles

// awaitGone waits until an object is deleted.
func (c *cluster) awaitGone(obj client.Object) {
	c.t.Helper()
	eventually.True(c.t, limit, obj.GetName()+" gone", func() bool {
		return apierrors.IsNotFound(c.Get(c.t.Context(), client.ObjectKeyFromObject(obj), obj))
	})
}

// awaitUp waits until the operator serves its metrics.
func (o *operator) awaitUp(t *testing.T) {
	t.Helper()
	eventually.True(t, limit, "the operator's metrics", func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(o.ops, "http://"))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// awaitReconciles waits for a few more reconciles that read from Kafka.
func (o *operator) awaitReconciles(t *testing.T) {
	t.Helper()
	o.awaitUp(t)
	looks := func() float64 {
		return o.metric(t, "merchstore_operator_call_seconds", map[string]string{"system": "kafka", "operation": "cluster_id"})
	}
	before := looks()
	eventually.True(t, limit, "more looks at Kafka", func() bool { return looks() >= before+3 })
}

// alters returns the number of calls that change Kafka.
func (o *operator) alters(t *testing.T) (n float64) {
	t.Helper()
	for _, operation := range []string{"create", "alter_config", "create_partitions", "delete"} {
		n += o.metric(t, "merchstore_operator_call_seconds", map[string]string{"system": "kafka", "operation": operation})
	}
	return n
}

func (o *operator) corrections(t *testing.T, obj client.Object) float64 {
	t.Helper()
	return o.metric(t, "merchstore_operator_drift_corrections_total", map[string]string{
		"kind": "KafkaTopic", "namespace": obj.GetNamespace(), "name": obj.GetName(),
	})
}

// events returns the reasons of an object's events so far.
func (c *cluster) events(obj client.Object) (reasons []string) {
	c.t.Helper()
	var list eventsv1.EventList
	if err := c.List(c.t.Context(), &list, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.Regarding.Name == obj.GetName() {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

func wantConfig(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("the topic's own settings are %v, want %v", got, want)
	}
}

func TestTopicIsCreated(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate()
	topic := c.topic("orders", configured(values{"retention.ms": "1000", "min.insync.replicas": "1"}),
		func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = 3 })
	c.must(topic)

	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)

	hand := onKafka(t, kafka.Shared(t).Addr())
	if n := hand.partitions(topic.Topic()); n != 3 {
		t.Errorf("%d partitions, want 3", n)
	}
	wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "1000", "min.insync.replicas": "1"})
	metadata, err := hand.BrokerMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := topic.Status
	if s.TopicName != topic.Spec.TopicName || s.ClusterID != metadata.Cluster || s.TopicID != hand.id(topic.Topic()) || s.Partitions != 3 ||
		s.ReplicationFactor != 1 || !slices.Equal(s.ManagedConfig, []string{"min.insync.replicas", "retention.ms"}) ||
		s.LastSyncTime == nil || s.ObservedGeneration != topic.Generation {
		t.Errorf("its status is %+v", s)
	}
	if !is(topic, v1alpha1.Synced, true, v1alpha1.ReasonAsDeclared) {
		t.Errorf("it is not synced: %+v", s.Conditions)
	}
	if len(topic.Finalizers) != 0 {
		t.Errorf("it has finalizers although the topic is to be retained: %v", topic.Finalizers)
	}
	if e := c.awaitEvent(topic, v1alpha1.ReasonAsDeclared); e.Type != "Normal" {
		t.Errorf("the event is a %s", e.Type)
	}
	ready := map[string]string{"kind": "KafkaTopic", "namespace": c.namespace, "name": "orders"}
	if v := o.metric(t, "merchstore_operator_object_ready", ready); v != 1 {
		t.Errorf("the metric is %v, want 1", v)
	}
	if v := o.metric(t, "controller_runtime_reconcile_total", map[string]string{"controller": "kafkatopic", "result": "requeue_after"}); v < 1 {
		t.Error("no reconcile is counted")
	}
	if n := o.corrections(t, topic); n != 0 {
		t.Errorf("%v drift corrections", n)
	}
}

func TestTopicNameDefaultsToTheObjectName(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	topic := c.topic(c.namespace+"-orders", func(t *v1alpha1.KafkaTopic) { t.Spec.TopicName = "" })
	c.must(topic)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	if onKafka(t, kafka.Shared(t).Addr()).id(topic.Name) == "" {
		t.Error("there is no such topic")
	}
}

func TestAdoptionKeepsOtherConfig(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	topic := c.topic("orders", configured(values{"retention.ms": "1000", "max.message.bytes": "2000"}))
	hand.create(topic.Topic(), 1, map[string]string{"retention.ms": "5", "max.message.bytes": "2000", "segment.ms": "100000"})
	id := hand.id(topic.Topic())
	o := c.operate()
	c.must(topic)

	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)

	wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "1000", "max.message.bytes": "2000", "segment.ms": "100000"})
	if topic.Status.TopicID != id {
		t.Errorf("the status has topic %s, want %s", topic.Status.TopicID, id)
	}
	if want := []string{"retention.ms"}; !slices.Equal(topic.Status.ManagedConfig, want) {
		t.Errorf("managed config %v, want %v", topic.Status.ManagedConfig, want)
	}

	// All settings are removed from the spec: only the managed one is reset.
	change(c, topic, configured(nil))
	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	wantConfig(t, hand.config(topic.Topic()), map[string]string{"max.message.bytes": "2000", "segment.ms": "100000"})
	if len(topic.Status.ManagedConfig) != 0 {
		t.Errorf("the managed config is still %v", topic.Status.ManagedConfig)
	}
	if n := o.corrections(t, topic); n != 0 {
		t.Errorf("%v drift corrections, though only the spec has changed", n)
	}
}

func TestSpecChangeIsApplied(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	o := c.operate(rarely) // changes trigger a reconcile at once
	topic := c.topic("orders", configured(values{"retention.ms": "1000", "segment.ms": "100000"}))
	c.must(topic)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)

	change(c, topic, func(t *v1alpha1.KafkaTopic) {
		t.Spec.Partitions = 4
		t.Spec.Config = values{"retention.ms": "2000", "max.message.bytes": "3000"}
	})
	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)

	wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "2000", "max.message.bytes": "3000"})
	if n := hand.partitions(topic.Topic()); n != 4 || topic.Status.Partitions != 4 {
		t.Errorf("%d partitions, and %d in the status, want 4", n, topic.Status.Partitions)
	}
	if n := o.corrections(t, topic); n != 0 {
		t.Errorf("%v drift corrections, though only the spec has changed", n)
	}
	// The operator's own writes do not trigger a reconcile.
	last := c.topic("last", func(t *v1alpha1.KafkaTopic) { t.Spec.Paused = true })
	c.must(last)
	c.awaitTopic(last, false, v1alpha1.ReasonPaused)
	if n := o.metric(t, "merchstore_operator_call_seconds", map[string]string{"operation": "cluster_id"}); n != 2 {
		t.Errorf("%v reconciles, want 2", n)
	}
}

func TestUncorrectableTopicIsStillSynced(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		declare func(*v1alpha1.KafkaTopic)
		reason  string
		message string
	}{
		"more partitions": {
			func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = 2 }, v1alpha1.ReasonPartitionsExceedSpec,
			"The topic has 3 partitions, declared 2: Kafka cannot remove partitions.",
		},
		"another replication factor": {
			func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions, t.Spec.ReplicationFactor = 3, 2 }, v1alpha1.ReasonReplicationMismatch,
			"The replication factor is 1, declared 2: the operator does not move replicas.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			hand := onKafka(t, kafka.Shared(t).Addr())
			topic := c.topic("orders", configured(values{"retention.ms": "1000"}), tt.declare)
			hand.create(topic.Topic(), 3, map[string]string{"retention.ms": "5"})
			o := c.operate()
			c.must(topic)

			topic = c.awaitTopic(topic, true, tt.reason)

			if message(topic) != tt.message {
				t.Errorf("message %q, want %q", message(topic), tt.message)
			}
			if !is(topic, v1alpha1.Synced, false, tt.reason) {
				t.Errorf("synced: %+v", meta.FindStatusCondition(topic.Status.Conditions, v1alpha1.Synced))
			}
			wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "1000"})
			if topic.Status.Partitions != 3 || topic.Status.ReplicationFactor != 1 {
				t.Errorf("the status has %d partitions and %d replicas", topic.Status.Partitions, topic.Status.ReplicationFactor)
			}
			hand.set(topic.Topic(), "retention.ms", "7")
			c.awaitEvent(topic, "DriftCorrected")
			wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "1000"})
			o.awaitReconciles(t)
			if n := hand.partitions(topic.Topic()); n != 3 {
				t.Errorf("%d partitions", n)
			}
		})
	}
}

// Kafka reports these values in another form than they are declared.
func TestConvergedTopicIsNotChanged(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate()
	topic := c.topic("orders", deleting, configured(values{
		"retention.ms": " 0360000", "cleanup.policy": "delete, compact", "min.cleanable.dirty.ratio": "0.50d", "preallocate": "FALSE",
	}))
	c.must(topic)
	topic = c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	if n := o.alters(t); n != 1 {
		t.Errorf("%v calls to create the topic", n)
	}
	o.awaitReconciles(t)
	if n := o.alters(t); n != 1 {
		t.Errorf("%v calls have changed Kafka since", n-1)
	}
	o.stop()

	o = c.operate() // a restarted operator does not either
	o.awaitReconciles(t)
	if n := o.alters(t); n != 0 {
		t.Errorf("%v calls have changed Kafka after a restart", n)
	}
	version := topic.ResourceVersion
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(topic), topic); err != nil {
		t.Fatal(err)
	}
	if topic.ResourceVersion != version {
		t.Errorf("the object was written: %+v", topic)
	}
	if got := c.events(topic); !slices.Equal(got, []string{v1alpha1.ReasonAsDeclared}) {
		t.Errorf("events: %v", got)
	}
}
