package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"testing"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/test/eventually"
)

// byHand is somebody who works on Kafka's topics beside the operator.
type byHand struct {
	*confluent.AdminClient

	t *testing.T
}

func onKafka(t *testing.T, servers string) byHand {
	t.Helper()
	admin, err := confluent.NewAdminClient(&confluent.ConfigMap{"bootstrap.servers": servers, "log_level": 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	return byHand{AdminClient: admin, t: t}
}

func (h byHand) context() context.Context {
	ctx, cancel := context.WithTimeout(h.t.Context(), limit)
	h.t.Cleanup(cancel)
	return ctx
}

func (h byHand) check(what string, results []confluent.TopicResult, err error) {
	h.t.Helper()
	if err == nil && results[0].Error.Code() != confluent.ErrNoError {
		err = results[0].Error
	}
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
}

// create makes a topic, and waits until it is seen.
func (h byHand) create(topic string, partitions int, config map[string]string) {
	h.t.Helper()
	results, err := h.CreateTopics(h.context(), []confluent.TopicSpecification{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: 1, Config: config,
	}})
	h.check("create "+topic, results, err)
	eventually.True(h.t, limit, "topic "+topic, func() bool { return h.id(topic) != "" })
}

// remove deletes a topic, and waits until it is no longer seen.
func (h byHand) remove(topic string) {
	h.t.Helper()
	results, err := h.DeleteTopics(h.context(), []string{topic})
	h.check("delete "+topic, results, err)
	eventually.True(h.t, limit, "no topic "+topic, func() bool { return h.id(topic) == "" })
}

func (h byHand) describe(topic string) confluent.TopicDescription {
	h.t.Helper()
	result, err := h.DescribeTopics(h.context(), confluent.NewTopicCollectionOfTopicNames([]string{topic}))
	if err != nil {
		h.t.Fatalf("describe %s: %v", topic, err)
	}
	return result.TopicDescriptions[0]
}

// id is as Kafka's own tools show it, and empty when there is no such topic.
func (h byHand) id(topic string) string {
	h.t.Helper()
	d := h.describe(topic)
	if d.Error.Code() == confluent.ErrUnknownTopicOrPart {
		return ""
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(d.TopicID.GetMostSignificantBits()))
	binary.BigEndian.PutUint64(id[8:], uint64(d.TopicID.GetLeastSignificantBits()))
	return base64.RawURLEncoding.EncodeToString(id[:])
}

func (h byHand) partitions(topic string) int { return len(h.describe(topic).Partitions) }

// config has the settings that the topic has itself.
func (h byHand) config(topic string) map[string]string {
	h.t.Helper()
	result, err := h.DescribeConfigs(h.context(), []confluent.ConfigResource{{Type: confluent.ResourceTopic, Name: topic}})
	if err != nil || result[0].Error.Code() != confluent.ErrNoError {
		h.t.Fatalf("describe the settings of %s: %v %v", topic, err, result)
	}
	own := map[string]string{}
	for key, entry := range result[0].Config {
		if entry.Source == confluent.ConfigSourceDynamicTopic {
			own[key] = entry.Value
		}
	}
	return own
}

// set changes a setting of a topic, or resets it if the value is empty.
func (h byHand) set(topic, key, value string) {
	h.t.Helper()
	entry := confluent.ConfigEntry{Name: key, Value: value, IncrementalOperation: confluent.AlterConfigOpTypeSet}
	if value == "" {
		entry.IncrementalOperation = confluent.AlterConfigOpTypeDelete
	}
	result, err := h.IncrementalAlterConfigs(h.context(), []confluent.ConfigResource{{
		Type: confluent.ResourceTopic, Name: topic, Config: []confluent.ConfigEntry{entry},
	}})
	if err != nil || result[0].Error.Code() != confluent.ErrNoError {
		h.t.Fatalf("set %s of %s: %v %v", key, topic, err, result)
	}
}
