package kafka

import (
	"strings"
	"testing"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// TestPublicAuthoritiesAreLoaded: librdkafka reads all of them when it is created.
func TestPublicAuthoritiesAreLoaded(t *testing.T) {
	t.Parallel()
	config := Settings{Brokers: "127.0.0.1:1", SecurityProtocol: "SSL"}.ProducerConfig(nil)
	(*config)["go.logs.channel.enable"] = false
	p, err := confluent.NewProducer(config)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if n := strings.Count(publicAuthorities(), "BEGIN CERTIFICATE"); n < 50 {
		t.Errorf("there are %d", n)
	}
}
