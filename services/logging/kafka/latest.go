package kafka

import (
	"context"
	"slices"
	"time"

	"merchstore.io/merchstore/services/logging/record"
)

const (
	// latestDepth is how many of the latest records of each partition are searched.
	latestDepth = 10_000
	// latestTimeout bounds the search while a broker is slow or unavailable.
	latestTimeout = 5 * time.Second
)

// sendLatest calls each with the latest messages of all partitions, in the order of their time.
// Those that arrive meanwhile are among them.
func (c *consumer) sendLatest(ctx context.Context, each func(record.Message) error) error {
	found := latest{limit: c.query.Last}
	for deadline := time.Now().Add(latestTimeout); len(c.unread) > 0 && time.Now().Before(deadline); {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.poll(found.add); err != nil {
			return err
		}
	}
	for _, m := range found.sorted() {
		if err := each(m.Message); err != nil {
			return err
		}
	}
	return nil
}

// latest collects messages and drops all but the latest.
type latest struct {
	limit    int
	messages []timedMessage
}

type timedMessage struct {
	record.Message

	at time.Time
}

func (l *latest) add(m record.Message, at time.Time) error {
	if len(l.messages) >= 2*l.limit {
		l.messages = l.sorted()
	}
	l.messages = append(l.messages, timedMessage{m, at})
	return nil
}

// sorted returns the latest messages in the order of their time. Messages of the same time, which
// may be of one partition, stay in their order.
func (l *latest) sorted() []timedMessage {
	slices.SortStableFunc(l.messages, func(a, b timedMessage) int { return a.at.Compare(b.at) })
	return l.messages[max(0, len(l.messages)-l.limit):]
}
