package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
)

// allow grants a user operations on all topics.
func (a kafkaAdmin) allow(user string, operations ...kadm.ACLOperation) {
	a.t.Helper()
	results, err := a.CreateACLs(a.context(), kadm.NewACLs().Topics("*").ResourcePatternType(kadm.ACLPatternLiteral).
		Allow("User:"+user).AllowHosts("*").Operations(operations...))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, result := range results {
		if result.Err != nil {
			a.t.Fatal(result.Err)
		}
	}
}

func TestMissingRightsInKafka(t *testing.T) {
	t.Parallel()
	broker := startBroker(t, kafka.WithUser("operator", "x"), kafka.WithClusterID("another-test-cluster-4"),
		kafka.WithProperty("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
		kafka.WithProperty("super.users", "User:ANONYMOUS"))
	hand := onKafka(t, broker.Addr())
	c := newCluster(t)
	c.operate()
	c.kafkaSecret("kafka", map[string]string{"bootstrapServers": broker.SASLAddr(), "username": "operator", "password": "x"})
	topic := c.topic("orders", deleting, configured(values{"retention.ms": "1000"}), func(t *v1alpha1.KafkaTopic) {
		t.Spec.Connection, t.Spec.Partitions = v1alpha1.KafkaConnection{SecretName: "kafka", SASL: "SCRAM-SHA-512"}, 2
	})
	hand.create(topic.Topic(), 1, nil)
	refused := func(want string, ok func(*v1alpha1.KafkaTopic) bool) *v1alpha1.KafkaTopic {
		t.Helper()
		return await(c, topic, new(v1alpha1.KafkaTopicList), want, func(t *v1alpha1.KafkaTopic) bool {
			return is(t, v1alpha1.Ready, false, v1alpha1.ReasonRefused) && strings.Contains(strings.ToLower(message(t)), want) && ok(t)
		})
	}

	c.must(topic)
	refused("authorization failed", func(*v1alpha1.KafkaTopic) bool { return true })

	// The configuration is still managed and corrected when more partitions are refused.
	hand.allow("operator", kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpAlterConfigs)
	eventually.True(t, limit, "the setting", func() bool { return hand.config(topic.Topic())["retention.ms"] == "1000" })
	change(c, topic, configured(values{"segment.ms": "100000"}))
	refused("", func(t *v1alpha1.KafkaTopic) bool { return slices.Equal(t.Status.ManagedConfig, []string{"segment.ms"}) })
	wantConfig(t, hand.config(topic.Topic()), map[string]string{"segment.ms": "100000"})
	hand.set(topic.Topic(), "retention.ms", "5") // no longer managed

	hand.allow("operator", kadm.OpAlter)
	c.awaitTopic(topic, true, v1alpha1.ReasonAsDeclared)
	wantConfig(t, hand.config(topic.Topic()), map[string]string{"retention.ms": "5", "segment.ms": "100000"})
	if n := hand.partitions(topic.Topic()); n != 2 {
		t.Errorf("%d partitions, want 2", n)
	}

	c.remove(topic)
	refused("authorization failed", func(t *v1alpha1.KafkaTopic) bool { return !t.DeletionTimestamp.IsZero() })
	hand.allow("operator", kadm.OpDelete)
	c.awaitGone(topic)
	if hand.id(topic.Topic()) != "" {
		t.Error("the topic still exists")
	}
}
