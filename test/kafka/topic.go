package kafka

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/uuid"
)

// requestTimeout bounds requests, which take milliseconds on an idle broker.
const requestTimeout = 30 * time.Second

// Topic creates a topic with a unique name. It is deleted when the test ends.
func (b *Broker) Topic(t testing.TB, partitions int) string {
	t.Helper()
	admin, err := b.admin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
	defer cancel()

	name := "test-" + uuid.NewString()
	created, err := admin.CreateTopics(ctx, []kafka.TopicSpecification{{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}})
	if err := firstError(created, err); err != nil {
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
		deleted, err := admin.DeleteTopics(ctx, []string{name})
		if err := firstError(deleted, err); err != nil {
			t.Errorf("delete topic %s: %v", name, err)
		}
	})
	return name
}

// firstError returns the error of a request or of its first failed topic.
func firstError(results []kafka.TopicResult, err error) error {
	if err != nil {
		return err
	}
	for _, result := range results {
		if result.Error.Code() != kafka.ErrNoError {
			return result.Error
		}
	}
	return nil
}

// ConsoleConsume runs Kafka's console consumer from the topic's beginning for n messages and
// returns the printed lines. It takes some seconds. Use it to test what users see, otherwise
// [Broker.Records].
func (b *Broker) ConsoleConsume(ctx context.Context, topic string, n int) ([]string, error) {
	cmd := b.tool(ctx, "org.apache.kafka.tools.consumer.ConsoleConsumer",
		"--bootstrap-server", b.Addr(), "--topic", topic, "--from-beginning", "--max-messages", strconv.Itoa(n))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("console consumer: %w\n%s", err, tail(append(out, stderr.Bytes()...)))
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"), nil
}

// tool returns a command that runs one of Kafka's command-line tools.
func (b *Broker) tool(ctx context.Context, class string, arguments ...string) *exec.Cmd {
	all := append([]string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}, logFlags...)
	all = append(all, "-cp", filepath.Join(b.jars, "*"), class)
	return exec.CommandContext(ctx, "java", append(all, arguments...)...)
}
