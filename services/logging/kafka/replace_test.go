package kafka

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/services/logging/record"
	broker "merchstore.io/merchstore/test/kafka"
)

func TestReplacesAClientAfterAFatalError(t *testing.T) {
	t.Parallel()
	b := broker.Shared(t)
	p := newProducer(t, settingsFor(b.Addr(), b.Topic(t, 1)))
	put(t, p, "before")
	for range 3 {
		p.current().TestFatalError(confluent.ErrOutOfOrderSequenceNumber, "as a test")
		putAll(t, p, "after")
	}
}

func TestFailsRecordsInFlightOfAReplacedClient(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]func(p *Producer) error{
		"after a fatal error": func(p *Producer) error {
			p.current().TestFatalError(confluent.ErrOutOfOrderSequenceNumber, "as a test")
			return nil
		},
		"after a renewed authority": func(p *Producer) error { return os.WriteFile(p.settings.CAFile, []byte("renewed"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settingsFor("127.0.0.1:1", "nowhere") // nothing listens there, so records stay in flight
			s.CAFile = filepath.Join(t.TempDir(), "ca.crt")
			p := newProducer(t, s)
			delivered := make(deliveries, 1)
			if err := p.Put(recordOf("x"), delivered); err != nil {
				t.Fatal(err)
			}
			if err := cause(p); err != nil {
				t.Fatal(err)
			}
			err := await(t, delivered)
			var refused *record.RefusedError
			if err == nil || errors.As(err, &refused) {
				t.Errorf("record in flight: %v; want a retryable error", err)
			}
		})
	}
}

func TestStoresRecordsAfterTheTopicWasDeletedAndCreated(t *testing.T) {
	t.Parallel()
	b := broker.Shared(t)
	s := settingsFor(b.Addr(), b.Topic(t, 1))
	p := newProducer(t, s)
	putAll(t, p, "one", "two", "three")
	admin := adminOf(t, b)
	results, err := admin.DeleteTopics(t.Context(), []string{s.Topic})
	if err != nil || results[0].Error.Code() != confluent.ErrNoError {
		t.Fatal(err, results)
	}
	results, err = admin.CreateTopics(t.Context(), []confluent.TopicSpecification{{Topic: s.Topic, NumPartitions: 1, ReplicationFactor: 1}})
	if err != nil || results[0].Error.Code() != confluent.ErrNoError {
		t.Fatal(err, results)
	}
	putAll(t, p, "four", "five")
	if got := b.Records(t, s.Topic, 2); len(got) != 2 {
		t.Errorf("the topic has %v", got)
	}
}

// TestFitsBatchesToTheTopic produces one batch of more than the topic accepts.
func TestFitsBatchesToTheTopic(t *testing.T) {
	t.Parallel()
	b := broker.Shared(t)
	fitBatches(t, b, settingsFor(b.Addr(), b.Topic(t, 1)))
}

func TestFitsBatchesWithoutPermissionToReadTheLimit(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(t.Context(), t.TempDir(), broker.WithProperty("allow.everyone.if.no.acl.found", "true"),
		broker.WithProperty("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := settingsFor(b.Addr(), b.Topic(t, 1))
	rule := confluent.ACLBinding{
		Type: confluent.ResourceTopic, Name: s.Topic, ResourcePatternType: confluent.ResourcePatternTypeLiteral,
		Principal: "User:ANONYMOUS", Host: "*", Operation: confluent.ACLOperationAll, PermissionType: confluent.ACLPermissionTypeAllow,
	}
	denied := rule
	denied.Operation, denied.PermissionType = confluent.ACLOperationDescribeConfigs, confluent.ACLPermissionTypeDeny
	results, err := adminOf(t, b).CreateACLs(t.Context(), confluent.ACLBindings{rule, denied})
	if err != nil || results[0].Error.Code() != confluent.ErrNoError || results[1].Error.Code() != confluent.ErrNoError {
		t.Fatal(err, results)
	}
	fitBatches(t, b, s)
}

func fitBatches(t *testing.T, b *broker.Broker, s Settings) {
	t.Helper()
	_, err := adminOf(t, b).IncrementalAlterConfigs(t.Context(), []confluent.ConfigResource{{
		Type: confluent.ResourceTopic, Name: s.Topic, Config: []confluent.ConfigEntry{{
			Name: "max.message.bytes", Value: "65536", IncrementalOperation: confluent.AlterConfigOpTypeSet,
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, s)
	texts := make([]string, 3000)
	for i := range texts {
		texts[i] = random(300)
	}
	putAll(t, p, texts...)
	delivered := make(deliveries, 1)
	var refused *record.RefusedError
	if err := p.Put(recordOf(random(100_000)), delivered); !errors.As(err, &refused) {
		t.Errorf("a record larger than the topic accepts: %v", err)
	}
	putAll(t, p, "after")
}

// random returns a text that lz4 compresses only a little.
func random(length int) string {
	var b strings.Builder
	for b.Len() < length {
		b.WriteString(rand.Text())
	}
	return b.String()[:length]
}

// putAll puts records as clients do: those that fail are put again. None may be refused.
func putAll(t *testing.T, p *Producer, texts ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); len(texts) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d records are not stored within a minute", len(texts))
		}
		outcomes := make([]deliveries, len(texts))
		var failed []string
		for i, text := range texts {
			outcomes[i] = make(deliveries, 1)
			if err := p.Put(recordOf(text), outcomes[i]); err != nil {
				outcomes[i] <- err
			}
		}
		for i, o := range outcomes {
			err := await(t, o)
			var refused *record.RefusedError
			if errors.As(err, &refused) {
				t.Fatalf("refused: %v", err)
			}
			if err != nil {
				failed = append(failed, texts[i])
			}
		}
		texts = failed
	}
}

func adminOf(t *testing.T, b *broker.Broker) *confluent.AdminClient {
	t.Helper()
	admin, err := confluent.NewAdminClient(&confluent.ConfigMap{"bootstrap.servers": b.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	return admin
}
