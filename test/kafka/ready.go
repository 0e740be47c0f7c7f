package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// ready checks that the broker responds to a metadata request with at least one broker.
func (b *Broker) ready(ctx context.Context) error {
	// A Kafka client logs every failed connection.
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", b.Addr())
	if err != nil {
		return err
	}
	_ = connection.Close()
	admin, err := b.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	const timeout = 500 * time.Millisecond
	metadata, err := admin.GetMetadata(nil, false, int(timeout.Milliseconds()))
	if err == nil && len(metadata.Brokers) == 0 {
		err = errors.New("the metadata has no broker")
	}
	return err
}

func (b *Broker) admin() (*kafka.AdminClient, error) {
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": b.Addr(), "log_level": 2})
	if err != nil {
		return nil, fmt.Errorf("create admin client: %w", err)
	}
	return admin, nil
}
