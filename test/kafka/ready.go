package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// waitUntilReady returns when the broker answers a metadata request that names at least one broker.
func (b *Broker) waitUntilReady(ctx context.Context) error {
	if err := b.waitForPort(ctx); err != nil {
		return err
	}
	admin, err := b.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	for {
		const patience = 500 * time.Millisecond
		metadata, err := admin.GetMetadata(nil, false, int(patience.Milliseconds()))
		if err == nil && len(metadata.Brokers) > 0 {
			return nil
		}
		if gone := b.gone(ctx); gone != nil {
			return errors.Join(gone, err)
		}
	}
}

// waitForPort goes before the first request only because a Kafka client complains about every connection it can't make.
func (b *Broker) waitForPort(ctx context.Context) error {
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
		if gone := b.gone(ctx); gone != nil {
			return errors.Join(gone, err)
		}
	}
}

// gone tells why there is nothing left to wait for, if so.
func (b *Broker) gone(ctx context.Context) error {
	select {
	case <-b.process.Done():
		if err := b.process.Err(); err != nil {
			return fmt.Errorf("it ended by itself: %w", err)
		}
		return errors.New("it ended by itself")
	case <-ctx.Done():
		return fmt.Errorf("it does not answer: %w", ctx.Err())
	default:
		return nil
	}
}

func (b *Broker) admin() (*kafka.AdminClient, error) {
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": b.Addr(), "log_level": 2})
	if err != nil {
		return nil, fmt.Errorf("making an admin client: %w", err)
	}
	return admin, nil
}
