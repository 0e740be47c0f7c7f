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

// startKafka starts a small Kafka in this process. It writes every batch to a file before it
// acknowledges it, but does not call fsync, like Kafka by default: records survive a crash of this
// process, but not necessarily of the machine.
func startKafka(dir string, port int, log io.Writer) (*kfake.Cluster, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create Kafka's folder: %w", err)
	}
	cluster, err := kfake.NewCluster(kfake.Ports(port), kfake.DataDir(dir),
		kfake.ClusterID("merchstore-local"), kfake.WithLogger(kfake.BasicLogger(log, kfake.LogLevelWarn)))
	if err != nil {
		return nil, fmt.Errorf("start Kafka on port %d: %w", port, err)
	}
	return cluster, nil
}

// printLogs prints the log channel from its beginning, one record per line, and follows it until
// ctx is done.
func printLogs(ctx context.Context, s Settings, out io.Writer) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers()), kgo.ConsumeTopics(s.KafkaTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return fmt.Errorf("create Kafka client: %w", err)
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("no response from Kafka at %s; is the store running? (%w)", s.brokers(), err)
	}
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.Canceled) {
				return fmt.Errorf("read topic %s: %w", s.KafkaTopic, e.Err)
			}
		}
		var writeErr error
		fetches.EachRecord(func(r *kgo.Record) {
			if _, err := fmt.Fprintf(out, "%s\n", r.Value); err != nil {
				writeErr = err
			}
		})
		if writeErr != nil {
			return fmt.Errorf("print log channel: %w", writeErr)
		}
	}
	return nil
}
