package kafka

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// A replaced client has five seconds to report the outcome of its records.
const closeAttempts, closeInterval = 50, 100 // the latter in milliseconds

// A client that works has five seconds to store its records before it is replaced.
const drainTimeout, drainInterval = 5 * time.Second, 10 * time.Millisecond

// errRenewed is why a client is replaced after its CA file has changed: it reads the file once.
var errRenewed = errors.New("the authority of the brokers' certificates was renewed")

// renewed reports whether the CA file has changed since the last attempt to create a client.
func (p *Producer) renewed() bool {
	ca, err := os.ReadFile(p.settings.CAFile)
	return err == nil && !bytes.Equal(ca, p.ca)
}

// replace replaces a client, for instance one that lost track of its sequence numbers because the
// topic was deleted. Records in flight fail: their clients still have them, and send them again.
// A closed producer keeps its client. A client that works stores its records first, or is kept.
func (p *Producer) replace(old *confluent.Producer, why error) (*confluent.Producer, error) {
	renewed, level := errors.Is(why, errRenewed), slog.LevelWarn
	client, err := p.newClient()
	if renewed {
		if level = slog.LevelInfo; err != nil {
			p.log.Error("the Kafka client is kept, as a new one cannot be created", "reason", why, "error", err)
			return old, nil
		}
	}
	p.log.Log(context.Background(), level, "the Kafka client is replaced", "reason", why)
	p.mu.Lock()
	closed := p.closed
	if renewed && !closed {
		p.drain(old)
	}
	if err == nil && !closed {
		p.client = client
	}
	p.mu.Unlock()
	if closed { // and so is old, perhaps
		if err == nil {
			client.Close()
		}
		return old, nil
	}
	if purgeErr := old.Purge(confluent.PurgeQueue | confluent.PurgeInFlight); purgeErr != nil {
		p.log.Error("purge records in flight", "error", purgeErr)
	}
	if err != nil {
		return nil, err
	}
	go func() {
		p.lifetime.Lock()
		defer p.lifetime.Unlock()
		// Records that were just being sent were not purged. Closing the client would forget them.
		for range closeAttempts {
			if old.Flush(closeInterval) == 0 {
				break
			}
			_ = old.Purge(confluent.PurgeQueue | confluent.PurgeInFlight) // as above
		}
		old.Close()
	}()
	for event := range old.Events() { // until it is closed
		reportLast(event)
	}
	p.onIdle()
	return client, nil
}

// drain waits until a client has stored its records, or for drainTimeout. The caller holds p.mu: Put
// waits, so that the next client's records do not overtake them.
func (p *Producer) drain(client *confluent.Producer) {
	for end := time.Now().Add(drainTimeout); client.Len() > 0 && time.Now().Before(end); {
		select {
		case event := <-client.Events():
			reportLast(event)
		case <-time.After(drainInterval): // Len also counts a report until shortly after it was received
			p.onIdle()
		}
	}
}

// reportLast calls the delivery handler of a record of a client that is being replaced.
func reportLast(event confluent.Event) {
	if m, ok := event.(*confluent.Message); ok {
		err := m.TopicPartition.Error
		if isTooLarge(err) {
			err = errBatchTooLarge
		}
		report(m, err)
	}
}
