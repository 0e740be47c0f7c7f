package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
)

// answers are what became of messages of one stream, not yet told to its writer.
type answers struct {
	stored  []string
	refused []*merchstorev1.RefusedLog
}

func (a answers) len() int64 { return int64(len(a.stored) + len(a.refused)) }

// writer is one stream of messages on their way into Kafka. Two goroutines read it (readAll, store), the producer's goroutine
// brings what became of the messages (settle), and the call's own goroutine tells the client (Server.write).
type writer struct {
	server *Server
	window *semaphore.Weighted // one for each message without an answer
	wake   chan struct{}

	// Only the storing goroutine uses these.
	encoder record.Encoder
	records []record.Record

	// Only the goroutine that brings delivery reports uses this.
	pending verdicts

	mu       sync.Mutex
	closed   bool // nothing more is taken
	received int64
	open     int // taken, and nothing known of them yet
	out      answers
	failed   error // why Kafka did not take a message that it may take another time
}

// write stores the messages that read gives until it gives io.EOF, and calls answer with what became of them. It ends
// early, with an error that tells the client to come again, when the server stops or when a message could not be stored
// now: the client still has what was not answered.
func (s *Server) write(ctx context.Context, read func() ([]*merchstorev1.LogMessage, error), answer func(answers) error) (received int64, err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	w := &writer{server: s, window: semaphore.NewWeighted(int64(s.Window)), wake: make(chan struct{}, 1)}
	done := make(chan error, 1)
	go func() { done <- w.readAll(reading, read) }() // it ends with the call at the latest: then read fails

	var result error
	var expired <-chan time.Time
	ended, stopping := (<-chan error)(done), s.Stopping.Done()
	endWith := func(err error) {
		stop()
		w.close()
		result = err
		expired = time.After(s.DrainTimeout)
	}
	for {
		select {
		case <-w.wake:
		case result = <-ended:
			ended = nil
			w.close()
		case <-stopping:
			stopping, ended = nil, nil
			endWith(errStopping)
		case <-expired:
			return w.count(), result
		case <-ctx.Done():
			return w.count(), ctx.Err()
		}
		out, failed, all := w.take()
		if n := out.len(); n > 0 {
			if err := answer(out); err != nil {
				return w.count(), err
			}
			w.window.Release(n)
		}
		if failed != nil && expired == nil {
			ended = nil
			endWith(errKafkaAway.Because(failed))
			w.tell() // there may be nothing left to wait for
		}
		if all {
			return w.count(), result
		}
	}
}

var (
	errStopping  = failure.New(failure.Unavailable, failure.ReasonUnavailable, "the logging service is stopping; send again what was not acknowledged")
	errKafkaAway = failure.New(failure.Unavailable, failure.ReasonUnavailable, "Kafka does not take messages now; send again what was not acknowledged")
)

// readAll stores what read gives. The next request is received and decoded while the one before is being stored.
func (w *writer) readAll(ctx context.Context, read func() ([]*merchstorev1.LogMessage, error)) error {
	requests := make(chan []*merchstorev1.LogMessage)
	ended := make(chan error, 1)
	go func() {
		defer close(requests)
		for {
			messages, err := read()
			if err != nil {
				ended <- err
				return
			}
			select {
			case requests <- messages:
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
		}
	}()
	for messages := range requests {
		if err := w.store(ctx, messages); err != nil {
			return err // and ctx has ended, or will have when the call returns
		}
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

const (
	// chunk is how many messages are taken in at a time; locks are taken for each chunk, not for each message.
	chunk = 64
	// chunkBytes bounds the texts of a chunk, so that even when all of it has to be escaped it fits into minInFlight.
	chunkBytes = 64 << 10
)

// store takes messages in and hands them on, waiting for room. It must not be called again after an error.
func (w *writer) store(ctx context.Context, messages []*merchstorev1.LogMessage) error {
	for len(messages) > 0 {
		n, bytes := 0, 0
		for n < min(len(messages), chunk, w.server.Window) && bytes < chunkBytes {
			bytes += len(messages[n].GetText())
			n++
		}
		if err := w.window.Acquire(ctx, int64(n)); err != nil {
			return fmt.Errorf("wait for the stream's window: %w", err)
		}
		if !w.admit(n) {
			return errStopping
		}
		if err := w.storeChunk(ctx, messages[:n]); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

func (w *writer) storeChunk(ctx context.Context, messages []*merchstorev1.LogMessage) error {
	now := time.Now()
	w.encoder.Reset()
	w.records = w.records[:0]
	receipts := make([]receipt, 0, len(messages)) // one allocation for all of them
	var refused verdicts
	var cost int64
	for _, m := range messages {
		if reason := check(m); reason != "" {
			refused.add(m.GetId(), &record.RefusedError{Reason: reason})
			continue
		}
		id := m.GetId()
		if id == "" {
			id = uuid.Must(uuid.NewV7()).String()
		}
		message := messageOf(m, id, now)
		encoded := w.encoder.Encode(&message)
		w.records = append(w.records, encoded)
		receipts = append(receipts, receipt{writer: w, id: id, cost: messageCost + int64(len(encoded.Value)), span: w.server.startSpan(ctx, m, id)})
		cost += receipts[len(receipts)-1].cost
	}
	w.settle(refused)
	if len(receipts) == 0 {
		return nil
	}
	receipts[0].since = now
	if err := w.server.inFlight.Acquire(ctx, cost); err != nil {
		err = fmt.Errorf("wait for memory: %w", err)
		for i := range receipts {
			receipts[i].endSpan(err)
		}
		w.settle(verdicts{failure: err, failures: len(receipts)})
		return err
	}
	w.server.metrics.inFlight.Add(float64(len(receipts)))
	var failed verdicts
	for i := range receipts {
		if err := w.server.Store.Put(w.records[i], &receipts[i]); err != nil {
			receipts[i].endSpan(err)
			failed.add(receipts[i].id, err)
			failed.cost += receipts[i].cost
			failed.put++
		}
	}
	w.settle(failed)
	return nil
}

// admit counts messages in, unless the stream has come to its end.
func (w *writer) admit(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.received += int64(n)
	w.open += n
	w.server.metrics.received.Add(float64(n))
	return true
}

// settle notes what became of messages.
func (w *writer) settle(v verdicts) {
	m := w.server.metrics
	w.server.inFlight.Release(v.cost)
	m.inFlight.Sub(float64(v.put))
	m.stored.Add(float64(len(v.stored)))
	m.refused.Add(float64(len(v.refused)))
	m.failed.Add(float64(v.failures))

	n := len(v.stored) + len(v.refused) + v.failures
	if n == 0 {
		return
	}
	w.mu.Lock()
	w.open -= n
	w.out.stored = append(w.out.stored, v.stored...)
	w.out.refused = append(w.out.refused, v.refused...)
	if w.failed == nil {
		w.failed = v.failure
	}
	w.mu.Unlock()
	w.tell()
}

// tell makes the call's own goroutine look.
func (w *writer) tell() {
	select {
	case w.wake <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// take gives what is to be answered, and whether that was all there will ever be.
func (w *writer) take() (out answers, failed error, all bool) { //nolint:revive // failed is not this function's error
	w.mu.Lock()
	defer w.mu.Unlock()
	out, w.out = w.out, answers{}
	return out, w.failed, w.closed && w.open == 0
}

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

func (w *writer) count() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.received
}
