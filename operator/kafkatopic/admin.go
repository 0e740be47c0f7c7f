package kafkatopic

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// live is a topic as Kafka tells of it.
type live struct {
	id         string
	partitions int32
	replicas   int32 // of the partition that has fewest
	config     map[string]setting
}

// setting is a topic's value for a key: its own, or what the brokers have for all.
type setting struct {
	value string
	own   bool
}

// clusterID asks for the cluster's id. It is not asked for by AdminClient.ClusterID, which tells what it was some time ago.
func (s *session) clusterID(ctx context.Context) (id string, err error) {
	err = s.call(ctx, "cluster_id", func(ctx context.Context) error {
		cluster, err := s.admin.DescribeCluster(ctx, kafka.SetAdminRequestTimeout(s.timeout))
		if err != nil {
			return err //nolint:wrapcheck // call makes a problem of it
		}
		if cluster.ClusterID != nil {
			id = *cluster.ClusterID
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return id, checkClusterID(id)
}

// checkClusterID sees to it that topics of one name in different clusters can be told apart.
func checkClusterID(id string) error {
	if id == "" {
		return &problem{v1alpha1.ReasonRefused, "The brokers do not tell which cluster they are."}
	}
	return nil
}

// checkTopicID sees to it that a topic can be told from another that has its name. Brokers before Kafka 2.8 give none an id, which
// librdkafka shows as one of zeros.
func checkTopicID(id string) error {
	if strings.Trim(id, "A") == "" {
		return &problem{
			v1alpha1.ReasonRefused, "The brokers give topics no ids, as those before Kafka 2.8: the topic is neither taken nor deleted.",
		}
	}
	return nil
}

// spelled is an id as Kafka's own tools show it; librdkafka uses the other alphabet of base64.
var spelled = strings.NewReplacer("+", "-", "/", "_")

// find gives a topic without its settings, or nil if there is none.
func (s *session) find(ctx context.Context, topic string) (found *live, err error) {
	err = s.call(ctx, "describe", func(ctx context.Context) error {
		result, err := s.admin.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{topic}),
			kafka.SetAdminRequestTimeout(s.timeout))
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		d := result.TopicDescriptions[0]
		if missing(d.Error) {
			return nil
		}
		found = &live{id: spelled.Replace(d.TopicID.String()), config: map[string]setting{}}
		found.partitions = int32(len(d.Partitions)) //nolint:gosec // thousands
		for i, p := range d.Partitions {
			if n := int32(len(p.Replicas)); i == 0 || n < found.replicas { //nolint:gosec // a few
				found.replicas = n
			}
		}
		return failed(d.Error)
	})
	if err != nil || found == nil {
		return nil, err
	}
	return found, checkTopicID(found.id)
}

// describe gives a topic, or nil if there is none.
func (s *session) describe(ctx context.Context, topic string) (*live, error) {
	found, err := s.find(ctx, topic)
	if err != nil || found == nil {
		return nil, err
	}
	err = s.call(ctx, "describe_config", func(ctx context.Context) error {
		resource := []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: topic}}
		result, err := s.admin.DescribeConfigs(ctx, resource, kafka.SetAdminRequestTimeout(s.timeout))
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		if missing(result[0].Error) {
			found = nil
			return nil
		}
		for key, entry := range result[0].Config {
			found.config[key] = setting{value: entry.Value, own: entry.Source == kafka.ConfigSourceDynamicTopic}
		}
		return failed(result[0].Error)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// create makes a topic, or only asks whether it could be made.
func (s *session) create(ctx context.Context, topic kafka.TopicSpecification, onlyAsk bool) error {
	operation := map[bool]string{false: "create", true: "validate"}[onlyAsk]
	return s.call(ctx, operation, func(ctx context.Context) error {
		result, err := s.admin.CreateTopics(ctx, []kafka.TopicSpecification{topic},
			kafka.SetAdminValidateOnly(onlyAsk), kafka.SetAdminRequestTimeout(s.timeout))
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		return failed(result[0].Error)
	})
}

// alter sets and resets settings, all or none, or only asks whether that could be done.
func (s *session) alter(ctx context.Context, topic string, set map[string]string, reset []string, onlyAsk bool) error {
	resource := kafka.ConfigResource{Type: kafka.ResourceTopic, Name: topic}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		resource.Config = append(resource.Config, kafka.ConfigEntry{
			Name: key, Value: set[key], IncrementalOperation: kafka.AlterConfigOpTypeSet,
		})
	}
	for _, key := range reset {
		resource.Config = append(resource.Config, kafka.ConfigEntry{Name: key, IncrementalOperation: kafka.AlterConfigOpTypeDelete})
	}
	operation := map[bool]string{false: "alter_config", true: "validate"}[onlyAsk]
	return s.call(ctx, operation, func(ctx context.Context) error {
		result, err := s.admin.IncrementalAlterConfigs(ctx, []kafka.ConfigResource{resource},
			kafka.SetAdminValidateOnly(onlyAsk), kafka.SetAdminRequestTimeout(s.timeout))
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		return failed(result[0].Error)
	})
}

// grow adds partitions until there are that many.
func (s *session) grow(ctx context.Context, topic string, partitions int32) error {
	return s.call(ctx, "create_partitions", func(ctx context.Context) error {
		result, err := s.admin.CreatePartitions(ctx, []kafka.PartitionsSpecification{{Topic: topic, IncreaseTo: int(partitions)}},
			kafka.SetAdminRequestTimeout(s.timeout))
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		return failed(result[0].Error)
	})
}

// remove deletes a topic. Kafka's request has the name only: the caller has just looked at the id.
func (s *session) remove(ctx context.Context, topic string) error {
	return s.call(ctx, "delete", func(ctx context.Context) error {
		result, err := s.admin.DeleteTopics(ctx, []string{topic}, kafka.SetAdminRequestTimeout(s.timeout))
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		return failed(result[0].Error)
	})
}

func missing(e kafka.Error) bool { return e.Code() == kafka.ErrUnknownTopicOrPart }

// failed makes an error of one that may say that all is well.
func failed(e kafka.Error) error {
	if e.Code() == kafka.ErrNoError {
		return nil
	}
	return e
}
