// Package kafka writes log records to a Kafka topic and reads them back, using confluent-kafka-go.
package kafka

import (
	"fmt"
	"maps"
	"strings"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/internal/settings"
)

// Settings configure the topic and the connection to its brokers.
type Settings struct {
	Brokers string `env:"KAFKA_BROKERS,notEmpty" envDefault:"127.0.0.1:9092" help:"host:port of one or more brokers, separated by commas"`
	Topic   string `env:"KAFKA_TOPIC,notEmpty" envDefault:"log-channel" help:"topic of the log records"`

	CreateTopic bool `env:"KAFKA_CREATE_TOPIC" envDefault:"false" help:"create the topic if it is missing; not needed where the operator runs"`
	Partitions  int  `env:"KAFKA_TOPIC_PARTITIONS" envDefault:"1" min:"1" help:"partitions of a topic created that way"`
	Replication int  `env:"KAFKA_TOPIC_REPLICATION" envDefault:"1" min:"1" help:"replicas of each partition of a topic created that way"`

	SecurityProtocol string          `env:"KAFKA_SECURITY_PROTOCOL" envDefault:"PLAINTEXT" help:"PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"`
	SASLMechanism    string          `env:"KAFKA_SASL_MECHANISM" help:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"`
	SASLUsername     string          `env:"KAFKA_SASL_USERNAME" help:"user name on the brokers"`
	SASLPassword     settings.Secret `env:"KAFKA_SASL_PASSWORD" help:"password of that user"`
	CAFile           string          `env:"KAFKA_CA_FILE" help:"PEM file of the CA that signed the brokers' certificates; the public authorities if empty"`
}

// Validate reports settings that are invalid or contradict each other.
func (s Settings) Validate() error {
	switch protocol := strings.ToUpper(s.SecurityProtocol); protocol {
	case "PLAINTEXT", "SSL":
	case "SASL_PLAINTEXT", "SASL_SSL":
		if s.SASLMechanism == "" || s.SASLUsername == "" || s.SASLPassword == "" {
			return fmt.Errorf("KAFKA_SECURITY_PROTOCOL=%s requires KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
				protocol)
		}
	default:
		return fmt.Errorf("KAFKA_SECURITY_PROTOCOL: %q is not one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
			s.SecurityProtocol)
	}
	return nil
}

// clientConfig returns the configuration shared by producer and consumers, extended by extra.
func (s Settings) clientConfig(logs chan confluent.LogEvent, extra confluent.ConfigMap) *confluent.ConfigMap {
	c := confluent.ConfigMap{
		"bootstrap.servers": s.Brokers,
		"client.id":         "merchstore-logging",
		"security.protocol": strings.ToLower(s.SecurityProtocol),

		// Reconnect to a broker within two seconds instead of ten.
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
	} else if strings.HasSuffix(strings.ToUpper(s.SecurityProtocol), "SSL") {
		c["ssl.ca.pem"] = publicAuthorities()
	}
	maps.Copy(c, extra)
	return &c
}

// ProducerConfig returns the configuration of the producer. It is exported for the benchmark's bare
// producer.
func (s Settings) ProducerConfig(logs chan confluent.LogEvent) *confluent.ConfigMap {
	return s.clientConfig(logs, confluent.ConfigMap{
		"enable.idempotence": true, // retries by the client cause neither duplicates nor gaps
		"acks":               "all",

		// A record fails if Kafka does not store it within this time. Its stream then ends, and the
		// client, which still has the message, sends it again.
		"message.timeout.ms": 120_000,

		// Clients do not wait for acknowledgements, and larger batches halve the cost of a message.
		"linger.ms":        100,
		"compression.type": "lz4",

		// The server bounds the bytes in flight and waits, where this queue would return an error.
		"queue.buffering.max.messages": 0,
		"queue.buffering.max.kbytes":   1 << 20,

		// The defaults of these two channels allocate 24 MB before the first record.
		"go.events.channel.size":    10_000,
		"go.produce.channel.size":   0,
		"go.delivery.report.fields": "none",
		"statistics.interval.ms":    0,
		"log.connection.close":      false,
	})
}

// consumerConfig returns the configuration of a reader's consumer. It joins no group, commits no
// offsets, and prefetches little.
func (s Settings) consumerConfig(logs chan confluent.LogEvent) *confluent.ConfigMap {
	return s.clientConfig(logs, confluent.ConfigMap{
		"group.id":                   "merchstore-logging-tail", // required, but unused: partitions are assigned manually
		"enable.auto.commit":         false,
		"enable.auto.offset.store":   false,
		"auto.offset.reset":          "earliest", // if the offset has been deleted
		"enable.partition.eof":       true,       // ends the search for the latest messages
		"allow.auto.create.topics":   false,
		"queued.max.messages.kbytes": 1 << 10, // per partition
		"queued.min.messages":        1_000,
		"fetch.message.max.bytes":    256 << 10,
		"fetch.wait.max.ms":          100,
	})
}
