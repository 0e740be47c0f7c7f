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

// requestTimeout is for requests that an idle broker answers within milliseconds.
const requestTimeout = 30 * time.Second

// Topic creates a topic with a name of its own, and deletes it when the test ends.
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
		t.Fatalf("creating topic %s: %v", name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		// A test that ends with its broker stopped has nothing left to tidy up.
		if b.gone(ctx) != nil {
			return
		}
		deleted, err := admin.DeleteTopics(ctx, []string{name})
		if err := firstError(deleted, err); err != nil {
			t.Errorf("deleting topic %s: %v", name, err)
		}
	})
	return name
}

// firstError finds what went wrong with a request, or with one of the topics in it.
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

// ConsoleConsume runs Kafka's own console consumer from the topic's beginning until it has seen n messages, and returns the lines
// it printed. It takes some seconds: use it where the point is what a person would see, else [Broker.Records].
func (b *Broker) ConsoleConsume(ctx context.Context, topic string, n int) ([]string, error) {
	cmd := b.tool(ctx, "org.apache.kafka.tools.consumer.ConsoleConsumer",
		"--bootstrap-server", b.Addr(), "--topic", topic, "--from-beginning", "--max-messages", strconv.Itoa(n))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running the console consumer: %w\n%s", err, tail(append(out, stderr.Bytes()...)))
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"), nil
}

// tool is one of Kafka's command-line programs.
func (b *Broker) tool(ctx context.Context, class string, arguments ...string) *exec.Cmd {
	all := append([]string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}, logFlags...)
	all = append(all, "-cp", filepath.Join(b.jars, "*"), class)
	return exec.CommandContext(ctx, "java", append(all, arguments...)...)
}
