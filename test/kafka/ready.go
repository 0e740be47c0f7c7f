package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// awaitReady waits until the broker responds to a metadata request with at least one broker.
func (b *Broker) awaitReady(ctx context.Context) error {
	if err := b.awaitPort(ctx); err != nil {
		return err
	}
	admin, err := b.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	for {
		const timeout = 500 * time.Millisecond
		metadata, err := admin.GetMetadata(nil, false, int(timeout.Milliseconds()))
		if err == nil && len(metadata.Brokers) > 0 {
			return nil
		}
		if failure := b.failure(ctx); failure != nil {
			return errors.Join(failure, err)
		}
	}
}

// awaitPort waits until the port is open, because a Kafka client logs every failed connection.
func (b *Broker) awaitPort(ctx context.Context) error {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	var dialer net.Dialer
	for {
		connection, err := dialer.DialContext(ctx, "tcp", b.Addr())
		if err == nil {
			return connection.Close()
		}
		select {
		case <-retry.C:
		case <-b.process.Done():
		case <-ctx.Done():
		}
		if failure := b.failure(ctx); failure != nil {
			return errors.Join(failure, err)
		}
	}
}

// failure returns an error if the broker has ended or ctx is done.
func (b *Broker) failure(ctx context.Context) error {
	select {
	case <-b.process.Done():
		if err := b.process.Err(); err != nil {
			return fmt.Errorf("the broker ended: %w", err)
		}
		return errors.New("the broker ended")
	case <-ctx.Done():
		return fmt.Errorf("the broker does not respond: %w", ctx.Err())
	default:
		return nil
	}
}

func (b *Broker) admin() (*kafka.AdminClient, error) {
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": b.Addr(), "log_level": 2})
	if err != nil {
		return nil, fmt.Errorf("create admin client: %w", err)
	}
	return admin, nil
}
