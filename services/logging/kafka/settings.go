// Package kafka keeps log records in a Kafka topic, by way of confluent-kafka-go.
package kafka

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/internal/settings"
)

// Settings say which topic, where, and how to get in.
type Settings struct {
	Brokers string `env:"KAFKA_BROKERS,notEmpty" envDefault:"127.0.0.1:9092" help:"host:port of one or more brokers, with commas between them"`
	Topic   string `env:"KAFKA_TOPIC,notEmpty" envDefault:"log-channel" help:"topic that log records go to"`

	CreateTopic bool `env:"KAFKA_CREATE_TOPIC" envDefault:"false" help:"make the topic if it is missing; where the operator runs, it does that"`
	Partitions  int  `env:"KAFKA_TOPIC_PARTITIONS" envDefault:"1" help:"partitions of a topic made that way"`
	Replication int  `env:"KAFKA_TOPIC_REPLICATION" envDefault:"1" help:"copies of each partition of a topic made that way"`

	SecurityProtocol string          `env:"KAFKA_SECURITY_PROTOCOL" envDefault:"PLAINTEXT" help:"PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"`
	SASLMechanism    string          `env:"KAFKA_SASL_MECHANISM" help:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"`
	SASLUsername     string          `env:"KAFKA_SASL_USERNAME" help:"account on the brokers"`
	SASLPassword     settings.Secret `env:"KAFKA_SASL_PASSWORD" help:"its password"`
	CAFile           string          `env:"KAFKA_CA_FILE" help:"certificates the brokers' ones must be signed by, PEM; the system's if empty"`
}

// Validate finds settings that cannot work together.
func (s Settings) Validate() error {
	switch protocol := strings.ToUpper(s.SecurityProtocol); protocol {
	case "PLAINTEXT", "SSL":
	case "SASL_PLAINTEXT", "SASL_SSL":
		if s.SASLMechanism == "" || s.SASLUsername == "" || s.SASLPassword == "" {
			return errors.New("KAFKA_SECURITY_PROTOCOL=" + protocol + " needs KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
		}
	default:
		return fmt.Errorf("KAFKA_SECURITY_PROTOCOL: %q is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", s.SecurityProtocol)
	}
	if s.Partitions < 1 || s.Replication < 1 {
		return errors.New("KAFKA_TOPIC_PARTITIONS and KAFKA_TOPIC_REPLICATION must be at least 1")
	}
	return nil
}

// client is what producer and consumers have in common.
func (s Settings) client(logs chan confluent.LogEvent, more confluent.ConfigMap) *confluent.ConfigMap {
	c := confluent.ConfigMap{
		"bootstrap.servers": s.Brokers,
		"client.id":         "merchstore-logging",
		"security.protocol": strings.ToLower(s.SecurityProtocol),

		// A broker that was away is found again within a second or two, not ten.
		"reconnect.backoff.ms":               100,
		"reconnect.backoff.max.ms":           2_000,
		"socket.connection.setup.timeout.ms": 5_000,

		"go.logs.channel.enable": true,
		"go.logs.channel":        logs,
	}
	if s.SASLMechanism != "" {
		c["sasl.mechanism"] = s.SASLMechanism
		c["sasl.username"] = s.SASLUsername
		c["sasl.password"] = string(s.SASLPassword)
	}
	if s.CAFile != "" {
		c["ssl.ca.location"] = s.CAFile
	}
	maps.Copy(c, more)
	return &c
}

// ProducerConfig is how records are written; exported so that the benchmark's bare producer writes them the same way.
func (s Settings) ProducerConfig(logs chan confluent.LogEvent) *confluent.ConfigMap {
	return s.client(logs, confluent.ConfigMap{
		"enable.idempotence": true, // no duplicates and no gaps from the producer's own retries
		"acks":               "all",

		// Kafka may be away for this long before a record is given up here. Until then its writer is just not
		// acknowledged; after it, the writer's stream ends and the writer, who still has the message, sends it again.
		"message.timeout.ms": 120_000,

		"linger.ms":        100, // nobody waits for an acknowledgement, and fewer, fuller batches halve the cost of a message
		"compression.type": "lz4",

		// The server bounds what is under way, by bytes, and waits where this queue would refuse.
		"queue.buffering.max.messages": 0,
		"queue.buffering.max.kbytes":   1 << 20,

		// The library's defaults for these two channels take 24 MB before the first record.
		"go.events.channel.size":    10_000,
		"go.produce.channel.size":   0,
		"go.delivery.report.fields": "none",
		"statistics.interval.ms":    0,
		"log.connection.close":      false,
	})
}

// consumerConfig is how one reader reads: it is in no group, commits nothing, and holds little that is not yet read.
func (s Settings) consumerConfig(logs chan confluent.LogEvent) *confluent.ConfigMap {
	return s.client(logs, confluent.ConfigMap{
		"group.id":                   "merchstore-logging-tail", // the library wants one; partitions are assigned by hand
		"enable.auto.commit":         false,
		"enable.auto.offset.store":   false,
		"auto.offset.reset":          "earliest", // where the wanted offset has been deleted meanwhile
		"allow.auto.create.topics":   false,
		"queued.max.messages.kbytes": 1 << 10, // per partition
		"queued.min.messages":        1_000,
		"fetch.message.max.bytes":    256 << 10,
		"fetch.wait.max.ms":          100,
	})
}
