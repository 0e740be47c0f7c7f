package kafka

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

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
