package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// requestTimeout bounds requests, which take milliseconds on an idle broker.
const requestTimeout = 30 * time.Second

func (b *Broker) client(options ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(b.Addr()))...)
	if err != nil {
		return nil, fmt.Errorf("create Kafka client: %w", err)
	}
	return client, nil
}

// ready checks that the broker responds to a metadata request with at least one broker.
func (b *Broker) ready(ctx context.Context) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	metadata, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err == nil && len(metadata.Brokers) == 0 {
		err = errors.New("the metadata has no broker")
	}
	return err
}

// Topic creates a topic with a unique name. It is deleted when the test ends.
func (b *Broker) Topic(t testing.TB, partitions int) string {
	t.Helper()
	client, err := b.client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
	defer cancel()

	name := "test-" + uuid.NewString()
	if _, err := admin.CreateTopic(ctx, int32(partitions), 1, nil, name); err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
	t.Cleanup(func() {
		select {
		case <-b.Done(): // the test has stopped its broker
			return
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		if _, err := admin.DeleteTopic(ctx, name); err != nil {
			t.Errorf("delete topic %s: %v", name, err)
		}
	})
	return name
}

// SetPassword changes a user's password for SCRAM-SHA-256 only.
func (b *Broker) SetPassword(t testing.TB, name, password string) {
	t.Helper()
	client, err := b.client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
	defer cancel()
	altered, err := kadm.NewClient(client).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{
		{User: name, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: password},
	})
	if err := errors.Join(err, altered.Error()); err != nil {
		t.Fatalf("set password of %s: %v", name, err)
	}
}

// Record is a record of a topic.
type Record struct {
	Partition int32
	Offset    int64
	Time      time.Time
	Key       string
	Value     string
	Headers   map[string]string
}

// Records waits until the topic has at least n records, and returns all of them, so that tests
// notice extra records. Records of a partition are in order. The test fails after half a minute.
func (b *Broker) Records(t testing.TB, topic string, n int) []Record {
	t.Helper()
	client, err := b.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), requestTimeout)
	defer cancel()
	var records []Record
	for {
		offsets, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
		if err := errors.Join(err, offsets.Error()); err != nil {
			t.Fatalf("%d records of topic %s, want %d: %v", len(records), topic, n, err)
		}
		var stored int64
		offsets.Each(func(o kadm.ListedOffset) { stored += o.Offset })
		if len(records) >= n && len(records) >= int(stored) {
			return records
		}
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d records of topic %s, want %d: %v", len(records), topic, n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			records = append(records, Record{r.Partition, r.Offset, r.Timestamp, string(r.Key), string(r.Value), headers})
		})
	}
}
