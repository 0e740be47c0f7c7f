package logstream

import (
	"sort"
	"sync"
	"time"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// entry is one message. Its id is empty until it is first sent, and its text gone once it is settled.
type entry struct {
	id        string
	text      string
	requestID string
	origin    *origin
	nanos     int64
	level     merchstorev1.LogLevel
	settled   bool
}

// origin is the span in which something was logged. Few messages have one, as few traces are recorded.
type origin struct{ traceID, spanID string }

func (e *entry) size() int {
	size := len(e.text) + len(e.requestID)
	if e.origin != nil {
		size += len(e.origin.traceID) + len(e.origin.spanID)
	}
	return size
}

// queue is a ring of messages in three stretches, each message passing from one to the next:
//
//	head ≤ sent, not settled < next ≤ waiting to be sent < tail
//
// Positions only ever grow; a position's place in the ring is its remainder.
type queue struct {
	mu    sync.Mutex
	ring  []entry // its length is a power of two
	limit uint64  // messages, may be less than the ring has room for

	head, next, tail uint64
	bytes, maxBytes  int
	// fresh is the first position that was never sent: it stays when next goes back to send again.
	fresh  uint64
	closed bool

	wake    chan struct{} // told when there may be something to send
	settled chan struct{} // told when there is less than before
}

func newQueue(limit, maxBytes int) *queue {
	size := 1
	for size < limit {
		size *= 2
	}
	return &queue{
		ring: make([]entry, size), limit: uint64(limit), maxBytes: maxBytes, //nolint:gosec // both are positive
		wake: make(chan struct{}, 1), settled: make(chan struct{}, 1),
	}
}

func (q *queue) at(position uint64) *entry {
	return &q.ring[position&uint64(len(q.ring)-1)] //nolint:gosec // a length is positive
}

type outcome int

const (
	taken outcome = iota
	full
	closed
)

// add takes a message in, or says why not.
func (q *queue) add(e entry) outcome {
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
	worthwhile := q.worthTaking()
	q.mu.Unlock()
	if worthwhile {
		notify(q.wake)
	}
	return taken
}

// worthTaking says whether to send now. While an earlier batch is without an answer it is only worth it for a full one, by number:
// messages that come one by one would otherwise each travel alone, which costs many times what they cost
// together. No timer is needed for that, the answers set the pace. It needs mu.
func (q *queue) worthTaking() bool {
	waiting := q.tail - q.next
	return waiting >= maxBatch || waiting > 0 && q.next == q.head
}

// take appends the next messages to batch, if it is worth it, and moves them from waiting to sent. Those that are sent
// for the first time get their ids, in order, from ids, of which there must be maxBatch; again counts the others.
func (q *queue) take(batch []entry, ids []string) (_ []entry, again int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.worthTaking() {
		return batch, 0
	}
	for bytes := 0; q.next < q.tail && len(batch) < maxBatch && bytes < maxBatchBytes; q.next++ {
		e := q.at(q.next)
		if e.settled {
			continue
		}
		if q.next < q.fresh {
			again++
		} else {
			e.id = ids[len(batch)-again]
			q.fresh = q.next + 1
		}
		batch = append(batch, *e)
		bytes += e.size()
	}
	return batch, again
}

// rewind makes everything that is not settled wait to be sent again.
func (q *queue) rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next = q.head
}

// settle lets go of a sent message by its id, and says whether it was there. Answers mostly come in the order of the
// messages; ids grow with the order of sending, so that one that does not is found by halving. oldest is when the first of those found was
// logged.
func (q *queue) settle(ids ...string) (found int, oldest int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	expected := q.head
	for _, id := range ids {
		for expected < q.fresh && q.at(expected).settled {
			expected++
		}
		position := expected
		if position >= q.fresh || q.at(position).id != id {
			n := int(q.fresh - q.head)                                                                              //nolint:gosec // far below
			position = q.head + uint64(sort.Search(n, func(i int) bool { return q.at(q.head+uint64(i)).id >= id })) //nolint:gosec // far below
			if position >= q.fresh || q.at(position).id != id {
				continue // settled on an earlier stream, or never ours
			}
		}
		e := q.at(position)
		if e.settled {
			continue
		}
		if found == 0 || e.nanos < oldest {
			oldest = e.nanos
		}
		q.bytes -= e.size()
		e.settled, e.text, e.requestID, e.origin = true, "", "", nil
		expected = position + 1
		found++
	}
	for q.head < q.fresh && q.at(q.head).settled {
		*q.at(q.head) = entry{}
		q.head++
	}
	q.next = max(q.next, q.head)
	if found > 0 {
		notify(q.settled)
	}
	if q.worthTaking() {
		notify(q.wake)
	}
	return found, oldest
}

// depth is how many messages are kept: waiting, or sent and not answered. (Those answered out of order count a moment longer.)
func (q *queue) depth() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tail - q.head
}

// oldest is how long ago the first message that is kept was logged.
func (q *queue) oldest(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == q.tail {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, q.at(q.head).nanos)))
}

// close makes the queue take nothing more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told already
	}
}
