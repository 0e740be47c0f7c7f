package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
)

// byAnotherName uses another address of the shared brokers.
func byAnotherName(t *v1alpha1.KafkaTopic) {
	servers := &t.Spec.Connection.BootstrapServers
	*servers = strings.Replace(*servers, "127.0.0.1", "localhost", 1)
}

func TestTopicStaysWithItsOwner(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	o := c.operate(rarely) // so that only the deletion triggers the handover
	holder := c.topic("b-holder", configured(values{"retention.ms": "1000"}))
	c.must(holder)
	holder = c.awaitTopic(holder, true, v1alpha1.ReasonAsDeclared)

	other := c.topic("a-other", byAnotherName, deleting, configured(values{"retention.ms": "2000", "segment.ms": "100000"}),
		func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = 2 })
	c.must(other)
	other = c.awaitTopic(other, false, v1alpha1.ReasonConflict)

	if !strings.Contains(message(other), "KafkaTopic "+c.namespace+"/b-holder owns topic") {
		t.Errorf("the message does not name the owner: %s", message(other))
	}
	if !is(other, v1alpha1.Synced, false, v1alpha1.ReasonConflict) || other.Status.TopicID != "" || len(other.Finalizers) != 0 {
		t.Errorf("it claims to hold the topic: %v %+v", other.Finalizers, other.Status)
	}
	third := c.topic("c-third", deleting)
	c.must(third)
	third = c.awaitTopic(third, false, v1alpha1.ReasonConflict)
	if err := c.Delete(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	c.awaitGone(third)
	if n := o.alters(t); n != 1 {
		t.Errorf("%v calls have changed Kafka, want one of the owner", n)
	}
	if id := hand.id(other.Topic()); id != holder.Status.TopicID {
		t.Fatalf("the topic is %s, want %s", id, holder.Status.TopicID)
	}
	wantConfig(t, hand.config(other.Topic()), map[string]string{"retention.ms": "1000"})

	if err := c.Delete(t.Context(), holder); err != nil {
		t.Fatal(err)
	}
	other = c.awaitTopic(other, true, v1alpha1.ReasonAsDeclared)
	if other.Status.TopicID != holder.Status.TopicID {
		t.Errorf("the new owner has topic %s, want %s", other.Status.TopicID, holder.Status.TopicID)
	}
	wantConfig(t, hand.config(other.Topic()), map[string]string{"retention.ms": "2000", "segment.ms": "100000"})
}

func TestTopicGoesToTheOldestObject(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	older := c.topic("b-older")
	c.must(older)
	eventually.True(t, limit, "the next second", func() bool { return time.Since(older.CreationTimestamp.Time) > time.Second })
	younger := c.topic("a-younger", byAnotherName) // is reconciled first
	c.must(younger)
	c.operate()
	c.awaitTopic(older, true, v1alpha1.ReasonAsDeclared)
	c.awaitTopic(younger, false, v1alpha1.ReasonConflict)
}

func TestOldestObjectHasPrecedenceEvenIfRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	hand := onKafka(t, kafka.Shared(t).Addr())
	c.operate()
	older := c.topic("older", configured(values{"retention.ms": "long"}))
	c.must(older)
	c.awaitTopic(older, false, v1alpha1.ReasonRefused)

	younger := c.topic("younger")
	c.must(younger)

	younger = c.awaitTopic(younger, false, v1alpha1.ReasonConflict)
	if !strings.Contains(message(younger), "/older is older and also names topic") {
		t.Errorf("the message does not name the older one: %s", message(younger))
	}
	if hand.id(younger.Topic()) != "" {
		t.Error("the topic was created")
	}
}

func TestTopicHasOneOwnerAcrossNamespaces(t *testing.T) {
	t.Parallel()
	c, there := newCluster(t), newCluster(t)
	plane := controlplane.Shared(t)
	user := plane.Grant(t, c.namespace, role)
	there.let(user)
	c.operate(func(s *Settings) {
		s.Namespaces, s.Kubeconfig = []string{c.namespace, there.namespace}, plane.Kubeconfig(t, user)
	})
	holder := c.topic("orders")
	c.must(holder)
	c.awaitTopic(holder, true, v1alpha1.ReasonAsDeclared)

	other := there.topic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.TopicName = holder.Spec.TopicName })
	there.must(other)
	other = there.awaitTopic(other, false, v1alpha1.ReasonConflict)
	if want := "KafkaTopic " + c.namespace + "/orders owns"; !strings.HasPrefix(message(other), want) {
		t.Errorf("message %q, want %q", message(other), want)
	}

	c.remove(holder)
	there.awaitTopic(other, true, v1alpha1.ReasonAsDeclared)
}

const role = "../k8s/operator/role.yaml"

// let grants the operator's role in this namespace to the user of another one.
func (c *cluster) let(user *rest.Config) {
	c.t.Helper()
	block, _ := pem.Decode(user.CertData)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		c.t.Fatal(err)
	}
	granted := objects(c.t, role)[0]
	granted.SetNamespace(c.namespace)
	c.must(granted)
	c.must(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
		"metadata": map[string]any{"name": granted.GetName(), "namespace": c.namespace},
		"subjects": []any{map[string]any{
			"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": certificate.Subject.CommonName,
		}},
		"roleRef": map[string]any{"kind": "Role", "apiGroup": "rbac.authorization.k8s.io", "name": granted.GetName()},
	}})
}

// All objects wait for the same Secret, and do not know each other's cluster when it is created.
func TestTopicHasOneOwnerUnderConcurrency(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate(func(s *Settings) { s.Workers = 8 })
	all := make([]*v1alpha1.KafkaTopic, 8)
	for i := range all {
		all[i] = c.topic(fmt.Sprintf("topic-%d", i), func(t *v1alpha1.KafkaTopic) { t.Spec.Connection.SecretName = "kafka" })
		if i%2 == 1 {
			byAnotherName(all[i])
		}
		c.must(all[i])
	}
	for _, topic := range all {
		c.awaitTopic(topic, false, v1alpha1.ReasonSecretNotFound)
	}

	onKafka(t, kafka.Shared(t).Addr()).create(all[0].Topic(), 1, nil) // otherwise Kafka would let only one of them create it
	c.kafkaSecret("kafka", nil)

	said := map[string]int{}
	for _, topic := range all {
		eventually.True(t, limit, "a word about "+topic.Name, func() bool {
			events := c.events(topic)
			for _, reason := range []string{v1alpha1.ReasonAsDeclared, v1alpha1.ReasonConflict} {
				if slices.Contains(events, reason) {
					said[reason]++
					return true
				}
			}
			return false
		})
	}
	if said[v1alpha1.ReasonAsDeclared] != 1 || said[v1alpha1.ReasonConflict] != len(all)-1 {
		t.Errorf("of %d objects, not exactly one holds the topic: %v", len(all), said)
	}
}
