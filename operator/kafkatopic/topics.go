package kafkatopic

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// topic is the state of a topic in Kafka.
type topic struct {
	id                string // as Kafka's own tools print it
	uuid              [16]byte
	partitions        int32
	replicationFactor int32 // of the partition with the fewest replicas
	config            map[string]configEntry
}

// configEntry is the effective value of a configuration key.
type configEntry struct {
	value    string
	override bool // set on the topic, not a default of the brokers
}

// clusterID returns the id of the cluster.
func (k *kafkaClient) clusterID(ctx context.Context) (id string, err error) {
	err = k.call(ctx, "cluster_id", func(ctx context.Context) error {
		resp, err := k.metadata(ctx)
		if err == nil && resp.ClusterID != nil {
			id = *resp.ClusterID
		}
		return err
	})
	if err == nil && id == "" {
		err = &problem{v1alpha1.ReasonRefused, "The brokers report no cluster id."}
	}
	return id, err
}

// metadata bypasses kadm, which answers from a cache.
func (k *kafkaClient) metadata(ctx context.Context, topics ...string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // nil asks for all topics
	for _, name := range topics {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	}
	return req.RequestWith(ctx, k.client)
}

// find returns a topic without its configuration, or nil if it does not exist.
func (k *kafkaClient) find(ctx context.Context, name string) (found *topic, err error) {
	err = k.call(ctx, "describe", func(ctx context.Context) error {
		resp, err := k.metadata(ctx, name)
		if err != nil {
			return err
		}
		if len(resp.Topics) != 1 {
			return fmt.Errorf("metadata of %d topics instead of one", len(resp.Topics))
		}
		t := resp.Topics[0]
		if err := kerr.ErrorForCode(t.ErrorCode); errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil
		} else if err != nil {
			return err //nolint:wrapcheck // call translates it
		}
		found = newTopic(t)
		return nil
	})
	if err == nil && found != nil && found.uuid == [16]byte{} {
		err = &problem{
			v1alpha1.ReasonRefused, "The brokers report no topic ids (Kafka before 2.8): the topic is neither adopted nor deleted.",
		}
	}
	return found, err
}

func newTopic(t kmsg.MetadataResponseTopic) *topic {
	found := &topic{
		id: base64.RawURLEncoding.EncodeToString(t.TopicID[:]), uuid: t.TopicID,
		partitions: int32(len(t.Partitions)), //nolint:gosec // thousands
		config:     map[string]configEntry{},
	}
	for i, p := range t.Partitions {
		if n := int32(len(p.Replicas)); i == 0 || n < found.replicationFactor { //nolint:gosec // a few
			found.replicationFactor = n
		}
	}
	return found
}

// describe returns a topic, or nil if it does not exist.
func (k *kafkaClient) describe(ctx context.Context, name string) (*topic, error) {
	found, err := k.find(ctx, name)
	if err != nil || found == nil {
		return nil, err
	}
	err = k.call(ctx, "describe_config", func(ctx context.Context) error {
		resources, err := k.admin.DescribeTopicConfigs(ctx, name)
		if err != nil {
			return err
		}
		resource, err := resources.On(name, nil)
		if err == nil {
			err = responseError(resource.Err, resource.ErrMessage)
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			found, err = nil, nil
		}
		for _, c := range resource.Configs {
			found.config[c.Key] = configEntry{c.MaybeValue(), c.Source == kmsg.ConfigSourceDynamicTopicConfig}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// create creates the topic of an object, or only validates the request.
func (k *kafkaClient) create(ctx context.Context, t *v1alpha1.KafkaTopic, validateOnly bool) error {
	operation, create := "create", k.admin.CreateTopics
	if validateOnly {
		operation, create = "validate", k.admin.ValidateCreateTopics
	}
	config := map[string]*string{}
	for key, value := range t.Spec.Config {
		config[key] = kadm.StringPtr(string(value))
	}
	return k.call(ctx, operation, func(ctx context.Context) error {
		responses, err := create(ctx, t.Spec.Partitions, int16(t.Spec.ReplicationFactor), config, t.Topic()) //nolint:gosec // at most 1000
		if err != nil {
			return err
		}
		resp, err := responses.On(t.Topic(), nil)
		if err != nil {
			return err
		}
		return responseError(resp.Err, resp.ErrMessage)
	})
}

// alterConfig sets and resets configuration keys, all or none, or only validates the request.
func (k *kafkaClient) alterConfig(ctx context.Context, name string, set map[string]string, reset []string, validateOnly bool) error {
	operation, alter := "alter_config", k.admin.AlterTopicConfigs
	if validateOnly {
		operation, alter = "validate", k.admin.ValidateAlterTopicConfigs
	}
	var changes []kadm.AlterConfig
	for _, key := range slices.Sorted(maps.Keys(set)) {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: kadm.StringPtr(set[key])})
	}
	for _, key := range reset {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
	}
	return k.call(ctx, operation, func(ctx context.Context) error {
		responses, err := alter(ctx, changes, name)
		if err != nil {
			return err
		}
		resp, err := responses.On(name, nil)
		if err != nil {
			return err
		}
		return responseError(resp.Err, resp.ErrMessage)
	})
}

// addPartitions adds partitions until there are as many as given.
func (k *kafkaClient) addPartitions(ctx context.Context, name string, partitions int32) error {
	return k.call(ctx, "create_partitions", func(ctx context.Context) error {
		responses, err := k.admin.UpdatePartitions(ctx, int(partitions), name)
		if err != nil {
			return err
		}
		resp, err := responses.On(name, nil)
		if err != nil {
			return err
		}
		return responseError(resp.Err, resp.ErrMessage)
	})
}

// delete deletes a topic by its id: another topic may have its name by now, which is all that kadm
// passes on.
func (k *kafkaClient) delete(ctx context.Context, t *topic) error {
	return k.call(ctx, "delete", func(ctx context.Context) error {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = int32(k.timeout.Milliseconds() / 2) //nolint:gosec // seconds
		req.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: t.uuid}}
		resp, err := req.RequestWith(ctx, k.client)
		if err != nil {
			return err
		}
		if len(resp.Topics) != 1 {
			return fmt.Errorf("deletion of %d topics instead of one", len(resp.Topics))
		}
		var message string
		if m := resp.Topics[0].ErrorMessage; m != nil {
			message = *m
		}
		return responseError(kerr.ErrorForCode(resp.Topics[0].ErrorCode), message)
	})
}
