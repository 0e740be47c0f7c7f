package main

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"merchstore.io/merchstore/test/eventually"
)

// kafkaAdmin changes Kafka's topics beside the operator.
type kafkaAdmin struct {
	*kadm.Client

	t *testing.T
}

func onKafka(t *testing.T, servers string) kafkaAdmin {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.MetadataMinAge(10*time.Millisecond)) // kadm answers from a cache
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kafkaAdmin{Client: kadm.NewClient(client), t: t}
}

func (a kafkaAdmin) context() context.Context {
	ctx, cancel := context.WithTimeout(a.t.Context(), limit)
	a.t.Cleanup(cancel)
	return ctx
}

// create creates a topic and waits until it is visible.
func (a kafkaAdmin) create(topic string, partitions int32, config map[string]string) {
	a.t.Helper()
	values := map[string]*string{}
	for key, value := range config {
		values[key] = &value
	}
	if resp, err := a.CreateTopic(a.context(), partitions, 1, values, topic); err != nil {
		a.t.Fatalf("create %s: %v %s", topic, err, resp.ErrMessage)
	}
	eventually.True(a.t, limit, "topic "+topic, func() bool { return a.id(topic) != "" })
}

// remove deletes a topic and waits until it is no longer visible.
func (a kafkaAdmin) remove(topic string) {
	a.t.Helper()
	if resp, err := a.DeleteTopic(a.context(), topic); err != nil {
		a.t.Fatalf("delete %s: %v %s", topic, err, resp.ErrMessage)
	}
	eventually.True(a.t, limit, "no topic "+topic, func() bool { return a.id(topic) == "" })
}

func (a kafkaAdmin) describe(topic string) kadm.TopicDetail {
	a.t.Helper()
	metadata, err := a.Metadata(a.context(), topic)
	if err != nil {
		a.t.Fatalf("describe %s: %v", topic, err)
	}
	return metadata.Topics[topic]
}

// id is the topic's id as Kafka's own tools print it, or empty if there is no such topic.
func (a kafkaAdmin) id(topic string) string {
	a.t.Helper()
	d := a.describe(topic)
	if errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(d.ID[:])
}

func (a kafkaAdmin) partitions(topic string) int { return len(a.describe(topic).Partitions) }

// config returns the configuration that is set on the topic itself.
func (a kafkaAdmin) config(topic string) map[string]string {
	a.t.Helper()
	resources, err := a.DescribeTopicConfigs(a.context(), topic)
	if err != nil || resources[0].Err != nil {
		a.t.Fatalf("describe the config of %s: %v %v", topic, err, resources)
	}
	own := map[string]string{}
	for _, c := range resources[0].Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			own[c.Key] = c.MaybeValue()
		}
	}
	return own
}

// set changes a config key of a topic, or resets it if the value is empty.
func (a kafkaAdmin) set(topic, key, value string) {
	a.t.Helper()
	c := kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value}
	if value == "" {
		c = kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key}
	}
	responses, err := a.AlterTopicConfigs(a.context(), []kadm.AlterConfig{c}, topic)
	if err != nil || responses[0].Err != nil {
		a.t.Fatalf("set %s of %s: %v %v", key, topic, err, responses)
	}
}
