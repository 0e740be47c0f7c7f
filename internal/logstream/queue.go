package logstream

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// message is a log message. It does not change once it has an id, because gRPC may still read it
// after it was sent.
type message = merchstorev1.LogMessage

func size(m *message) int {
	return len(m.Text) + len(m.RequestId) + len(m.TraceId) + len(m.SpanId)
}

// queue holds the messages that Kafka has not stored yet.
type queue struct {
	mu       sync.Mutex
	waiting  []*message          // to be sent, in order
	sent     map[string]*message // not acknowledged, by id
	bytes    int
	closed   bool
	limit    int // in messages
	maxBytes int

	wake    chan struct{} // notified when there may be messages to send
	removed chan struct{} // notified when the queue has become shorter
}

func newQueue(limit, maxBytes int) *queue {
	return &queue{
		sent: map[string]*message{}, limit: limit, maxBytes: maxBytes,
		wake: make(chan struct{}, 1), removed: make(chan struct{}, 1),
	}
}

// addResult is the result of queue.add.
type addResult int

const (
	queued addResult = iota
	full
	closed
)

// add appends a message without an id unless the queue is full or closed.
func (q *queue) add(m *message) addResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return closed
	}
	if len(q.waiting)+len(q.sent) >= q.limit || q.bytes+size(m) > q.maxBytes {
		return full
	}
	q.waiting = append(q.waiting, m)
	q.bytes += size(m)
	q.notifyReady()
	return queued
}

// batchReady reports whether to send a batch now. While an earlier batch is unacknowledged, only a
// full batch is sent, because messages sent one by one cost many times more than in batches.
// Acknowledgements set the pace, so no timer is needed. The caller must hold mu.
func (q *queue) batchReady() bool {
	return len(q.waiting) >= maxBatch || len(q.waiting) > 0 && len(q.sent) == 0
}

// notifyReady wakes the sender if a batch is ready. The caller must hold mu.
func (q *queue) notifyReady() {
	if q.batchReady() {
		notify(q.wake)
	}
}

// take returns the next messages, if a batch is ready, and marks them as sent. Those that are sent
// for the first time get an id. Ids grow in the order of sending. resent is the number of the
// others.
func (q *queue) take() (batch []*message, resent int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.batchReady() {
		return nil, 0
	}
	for n, bytes := 0, 0; n < min(len(q.waiting), maxBatch) && bytes < maxBatchBytes; n++ {
		m := q.waiting[n]
		if m.Id != "" {
			resent++
		} else {
			m.Id = uuid.Must(uuid.NewV7()).String() // crypto/rand does not fail
		}
		q.sent[m.Id] = m
		batch = append(batch, m)
		bytes += size(m)
	}
	clear(q.waiting[:len(batch)]) // so that they can be freed
	q.waiting = q.waiting[len(batch):]
	return batch, resent
}

// rewind marks all unacknowledged messages as waiting to be sent again.
func (q *queue) rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	unacknowledged := slices.SortedFunc(maps.Values(q.sent), func(a, b *message) int { return strings.Compare(a.Id, b.Id) })
	q.waiting = append(unacknowledged, q.waiting...)
	clear(q.sent)
}

// remove removes sent messages by id. It returns how many of them were in the queue, and the time
// at which the oldest of these was logged. Other ids were acknowledged on an earlier stream, or are
// unknown.
func (q *queue) remove(ids ...string) (found int, oldest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		m, ok := q.sent[id]
		if !ok {
			continue
		}
		delete(q.sent, id)
		q.bytes -= size(m)
		found++
		if t := m.Time.AsTime(); found == 1 || t.Before(oldest) {
			oldest = t
		}
	}
	if found > 0 {
		notify(q.removed)
	}
	q.notifyReady()
	return found, oldest
}

// depth returns the number of unacknowledged messages.
func (q *queue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) + len(q.sent)
}

// oldest returns the age of the oldest message in the queue.
func (q *queue) oldest(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	oldest := now
	older := func(m *message) {
		if t := m.Time.AsTime(); t.Before(oldest) {
			oldest = t
		}
	}
	if len(q.waiting) > 0 {
		older(q.waiting[0])
	}
	for _, m := range q.sent {
		older(m)
	}
	return now.Sub(oldest)
}

// close makes the queue reject further messages.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // already notified
	}
}
