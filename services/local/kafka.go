package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// startKafka starts a small Kafka inside this process. It writes every batch to a file before it acknowledges it but
// leaves the disk's flushing to the kernel, as Kafka itself does by default: what it has taken outlives a crash of this
// process, though maybe not of the machine.
func startKafka(dir string, port int, log io.Writer) (*kfake.Cluster, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of Kafka: %w", err)
	}
	cluster, err := kfake.NewCluster(kfake.Ports(port), kfake.DataDir(dir),
		kfake.ClusterID("merchstore-local"), kfake.WithLogger(kfake.BasicLogger(log, kfake.LogLevelWarn)))
	if err != nil {
		return nil, fmt.Errorf("start Kafka on port %d: %w", port, err)
	}
	return cluster, nil
}

// printLogs prints the log channel from its beginning, one record a line as any console consumer would, and goes on
// until it is interrupted.
func printLogs(ctx context.Context, s Settings, out io.Writer) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers()), kgo.ConsumeTopics(s.KafkaTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return fmt.Errorf("read the log channel: %w", err)
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("no Kafka answers at %s; is the store running? (%w)", s.brokers(), err)
	}
	for ctx.Err() == nil {
		fetched := client.PollFetches(ctx)
		for _, failed := range fetched.Errors() {
			if !errors.Is(failed.Err, context.Canceled) {
				return fmt.Errorf("read topic %s: %w", s.KafkaTopic, failed.Err)
			}
		}
		var failed error
		fetched.EachRecord(func(r *kgo.Record) {
			if _, err := fmt.Fprintf(out, "%s\n", r.Value); err != nil {
				failed = err
			}
		})
		if failed != nil {
			return fmt.Errorf("print the log channel: %w", failed)
		}
	}
	return nil
}
