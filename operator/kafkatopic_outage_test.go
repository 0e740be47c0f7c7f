package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/metrics"
)

// startBroker starts a broker that the test may kill.
func startBroker(t *testing.T, options ...kafka.Option) *kafka.Broker {
	t.Helper()
	broker, err := kafka.Start(t.Context(), t.TempDir(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Stop(); err != nil {
			t.Error(err)
		}
	})
	return broker
}

// on sets the brokers of an object, instead of the shared ones.
func on(servers string) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) { t.Spec.Connection.BootstrapServers = servers }
}

// kafkaSecret creates a Secret.
func (c *cluster) kafkaSecret(name string, data map[string]string) *corev1.Secret {
	c.t.Helper()
	s := &corev1.Secret{ObjectMeta: c.meta(name), StringData: data}
	c.must(s)
	return s
}

func TestKafkaOutage(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	hand := onKafka(t, broker.Addr())
	c := newCluster(t)
	o := c.operate()
	topic := c.topic("orders", on(broker.Addr()), configured(values{"retention.ms": "1000"}))
	c.must(topic)
	was := c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	hand.set(topic.Topic(), "retention.ms", "5") // not noticed any more
	broker.Kill()

	away := c.awaitTopic(topic, false, v1alpha1.ReasonUnreachable)

	if want := "dial tcp " + broker.Addr() + ": connect: connection refused"; !strings.HasSuffix(message(away), want) {
		t.Errorf("message %q, want %q at the end", message(away), want)
	}
	if away.Status.TopicID != was.Status.TopicID {
		t.Errorf("it has released its topic: %+v", away.Status)
	}
	// It is retried, and retries do not write the object.
	failures := func() float64 {
		return o.metric(t, "controller_runtime_reconcile_total", map[string]string{"controller": "kafkatopic", "result": "error"})
	}
	before := failures()
	eventually.True(t, limit, "more attempts", func() bool { return failures() >= before+3 })
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(topic), topic); err != nil {
		t.Fatal(err)
	}
	if topic.ResourceVersion != away.ResourceVersion {
		t.Errorf("the object was written: %+v, before %+v", topic.Status, away.Status)
	}

	if err := broker.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "1000"})
}

func TestTopicSecret(t *testing.T) {
	t.Parallel()
	// The wrong password is part of the broker's own error message, to see that it is masked there,
	// too.
	const right, wrong = "second-password", "invalid credentials"
	broker := startBroker(t, kafka.WithUser("operator", "first-password"), kafka.WithClusterID("another-test-cluster-1"))
	broker.SetPassword(t, "operator", right)
	c := newCluster(t)
	said := new(lines)
	c.logs = io.MultiWriter(said, output(t))
	o := c.operate(rarely, func(s *Settings) { s.MaxBackoff = s.Resync }) // only a change of the Secret triggers a reconcile
	topic := c.topic("orders", deleting, func(t *v1alpha1.KafkaTopic) {
		t.Spec.Connection = v1alpha1.KafkaConnection{SecretName: "kafka", SASL: "SCRAM-SHA-256"}
	})
	expect := func(ready bool, reason, want string) {
		t.Helper()
		seen := await(c, topic, new(v1alpha1.KafkaTopicList), reason+" "+want, func(t *v1alpha1.KafkaTopic) bool {
			return is(t, v1alpha1.Ready, ready, reason) && strings.Contains(message(t), want)
		})
		t.Logf("%s: %s", reason, message(seen))
	}
	set := func(key, value string) {
		t.Helper()
		change(c, &corev1.Secret{ObjectMeta: c.meta("kafka")}, func(s *corev1.Secret) { s.Data[key] = []byte(value) })
	}

	c.must(topic)
	expect(false, v1alpha1.ReasonSecretNotFound, "Secret kafka does not exist.")
	c.kafkaSecret("kafka", map[string]string{"bootstrapServers": "nonsense"})
	expect(false, v1alpha1.ReasonSecretInvalid, "its bootstrapServers must be a comma-separated list of host:port")
	set("bootstrapServers", broker.SASLAddr())
	expect(false, v1alpha1.ReasonSecretNotFound, "Secret kafka has no key username")
	set("username", "operator")
	expect(false, v1alpha1.ReasonSecretNotFound, "Secret kafka has no key password")
	set("password", wrong)
	expect(false, v1alpha1.ReasonUnreachable, "SASL_AUTHENTICATION_FAILED: SASL Authentication failed.: Authentication failed during authentication due to *** with SASL mechanism")
	set("password", right)
	expect(true, v1alpha1.ReasonAsDeclared, "")

	// After a change in Kafka and in the Secret, the new password is used at once.
	broker.SetPassword(t, "operator", "third-password")
	set("password", wrong)
	expect(false, v1alpha1.ReasonUnreachable, "due to *** with")
	set("password", "third-password")
	expect(true, v1alpha1.ReasonAsDeclared, "")

	// The same topic of another cluster is another topic.
	shared := c.topic("shared")
	c.must(shared)
	c.awaitTopic(shared, true, v1alpha1.ReasonAsDeclared)

	for _, text := range []string{said.String(), c.everything(), o.metrics(t)} {
		for _, password := range []string{wrong, right, "third-password"} {
			if i := strings.Index(text, password); i >= 0 {
				t.Errorf("a password is exposed: %s", text[max(0, i-200):min(len(text), i+200)])
			}
		}
	}
}

// lines collects the log of an operator.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// everything returns all topics and events of the namespace.
func (c *cluster) everything() string {
	c.t.Helper()
	var topics v1alpha1.KafkaTopicList
	var events eventsv1.EventList
	for _, list := range []client.ObjectList{&topics, &events} {
		if err := c.List(c.t.Context(), list, client.InNamespace(c.namespace)); err != nil || meta.LenList(list) == 0 {
			c.t.Fatalf("list: %v, %d", err, meta.LenList(list))
		}
	}
	text, err := json.Marshal([]any{topics, events})
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// metrics returns all metrics of the operator.
func (o *operator) metrics(t *testing.T) string {
	t.Helper()
	text, err := metrics.Text(t.Context(), o.ops)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestConnectionToAnotherCluster(t *testing.T) {
	t.Parallel()
	broker := startBroker(t, kafka.WithClusterID("another-test-cluster-2"))
	hand, other := onKafka(t, kafka.Shared(t).Addr()), onKafka(t, broker.Addr())
	c := newCluster(t)
	c.operate()
	secret := c.kafkaSecret("kafka", map[string]string{"bootstrapServers": kafka.Shared(t).Addr()})
	topic := c.topic("orders", deleting, configured(values{"retention.ms": "1000"}), func(t *v1alpha1.KafkaTopic) {
		t.Spec.Connection = v1alpha1.KafkaConnection{SecretName: "kafka"}
	})
	c.must(topic)
	before := c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)

	change(c, secret, func(s *corev1.Secret) { s.Data["bootstrapServers"] = []byte(broker.Addr()) })

	c.awaitEvent(topic, "ClusterChanged")
	topic = await(c, topic, new(v1alpha1.KafkaTopicList), "in another cluster", func(t *v1alpha1.KafkaTopic) bool {
		return t.Status.ClusterID == "another-test-cluster-2" && t.Status.TopicID != ""
	})
	if id := other.id(topic.Topic()); id != topic.Status.TopicID {
		t.Errorf("the status has topic %s, want %s", topic.Status.TopicID, id)
	}
	if hand.id(topic.Topic()) != before.Status.TopicID {
		t.Error("the topic in the other cluster was deleted")
	}
}
