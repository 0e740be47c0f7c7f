package logstream

import (
	"sort"
	"sync"
	"time"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// entry is one message. Its id is empty until it is first sent, and its text is released when it is
// done.
type entry struct {
	id        string
	text      string
	requestID string
	origin    *origin
	nanos     int64 // Unix time
	level     merchstorev1.LogLevel
	done      bool // stored or refused
}

// origin is the span in which a message was logged. Few messages have one, because few traces are
// sampled.
type origin struct{ traceID, spanID string }

func (e *entry) size() int {
	size := len(e.text) + len(e.requestID)
	if e.origin != nil {
		size += len(e.origin.traceID) + len(e.origin.spanID)
	}
	return size
}

// queue is a ring buffer with two sections. A message moves from the second to the first when it is
// sent:
//
//	head ≤ sent and unacknowledged < next ≤ waiting to be sent < tail
//
// Positions only grow. The index of a position in the ring is its remainder.
type queue struct {
	mu    sync.Mutex
	ring  []entry // the length is a power of two
	limit uint64  // in messages, at most len(ring)

	head, next, tail uint64
	bytes, maxBytes  int
	// unsent is the first position that was never sent. It stays when rewind moves next back.
	unsent uint64
	closed bool

	wake    chan struct{} // notified when there may be messages to send
	removed chan struct{} // notified when the queue has become shorter
}

func newQueue(limit, maxBytes int) *queue {
	size := 1
	for size < limit {
		size *= 2
	}
	return &queue{
		ring: make([]entry, size), limit: uint64(limit), maxBytes: maxBytes, //nolint:gosec // both are positive
		wake: make(chan struct{}, 1), removed: make(chan struct{}, 1),
	}
}

func (q *queue) at(position uint64) *entry {
	return &q.ring[position&uint64(len(q.ring)-1)] //nolint:gosec // a length is positive
}

// addResult is the result of queue.add.
type addResult int

const (
	queued addResult = iota
	full
	closed
)

// add appends a message unless the queue is full or closed.
func (q *queue) add(e entry) addResult {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return closed
	}
	if q.tail-q.head >= q.limit || q.bytes+e.size() > q.maxBytes {
		q.mu.Unlock()
		return full
	}
	*q.at(q.tail) = e
	q.tail++
	q.bytes += e.size()
	ready := q.batchReady()
	q.mu.Unlock()
	if ready {
		notify(q.wake)
	}
	return queued
}

// batchReady reports whether to send a batch now. While an earlier batch is unacknowledged, only a
// full batch is sent, because messages sent one by one cost many times more than in batches.
// Acknowledgements set the pace, so no timer is needed. The caller must hold mu.
func (q *queue) batchReady() bool {
	waiting := q.tail - q.next
	return waiting >= maxBatch || waiting > 0 && q.next == q.head
}

// take appends the next messages to batch, if a batch is ready, and marks them as sent. Messages
// that are sent for the first time get the next of ids, which must have at least maxBatch elements.
// resent is the number of the others.
func (q *queue) take(batch []entry, ids []string) (_ []entry, resent int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.batchReady() {
		return batch, 0
	}
	for bytes := 0; q.next < q.tail && len(batch) < maxBatch && bytes < maxBatchBytes; q.next++ {
		e := q.at(q.next)
		if e.done {
			continue
		}
		if q.next < q.unsent {
			resent++
		} else {
			e.id = ids[len(batch)-resent]
			q.unsent = q.next + 1
		}
		batch = append(batch, *e)
		bytes += e.size()
	}
	return batch, resent
}

// rewind marks all unacknowledged messages as waiting to be sent again.
func (q *queue) rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = q.head
}

// remove removes sent messages by id. It returns how many of them were in the queue, and the time
// in nanoseconds at which the oldest of these was logged. Acknowledgements usually arrive in the
// order of sending. Other ids are found by binary search, because ids grow in the order of sending.
func (q *queue) remove(ids ...string) (found int, oldest int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	expected := q.head
	for _, id := range ids {
		for expected < q.unsent && q.at(expected).done {
			expected++
		}
		position := expected
		if position >= q.unsent || q.at(position).id != id {
			position = q.search(id)
			if position >= q.unsent || q.at(position).id != id {
				continue // acknowledged on an earlier stream, or unknown
			}
		}
		e := q.at(position)
		if e.done {
			continue
		}
		if found == 0 || e.nanos < oldest {
			oldest = e.nanos
		}
		q.bytes -= e.size()
		e.done, e.text, e.requestID, e.origin = true, "", "", nil
		expected = position + 1
		found++
	}
	for q.head < q.unsent && q.at(q.head).done {
		*q.at(q.head) = entry{}
		q.head++
	}
	q.next = max(q.next, q.head)
	if found > 0 {
		notify(q.removed)
	}
	if q.batchReady() {
		notify(q.wake)
	}
	return found, oldest
}

// search returns the position of the first sent message whose id is not less than id. The caller
// must hold mu.
func (q *queue) search(id string) uint64 {
	n := int(q.unsent - q.head)                                                      //nolint:gosec // at most len(ring)
	i := sort.Search(n, func(i int) bool { return q.at(q.head+uint64(i)).id >= id }) //nolint:gosec // i is not negative
	return q.head + uint64(i)                                                        //nolint:gosec // i is not negative
}

// depth returns the number of unacknowledged messages. Messages acknowledged out of order are
// counted until those before them are acknowledged.
func (q *queue) depth() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tail - q.head
}

// oldest returns the age of the first message in the queue.
func (q *queue) oldest(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == q.tail {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, q.at(q.head).nanos)))
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
