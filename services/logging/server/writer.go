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

// acks are outcomes that have not been sent to the client yet.
type acks struct {
	stored  []string
	refused []*merchstorev1.RefusedLog
}

func (a acks) len() int64 { return int64(len(a.stored) + len(a.refused)) }

// writer is one stream of messages on their way to Kafka. Two goroutines receive and store messages
// (readAll), the producer's goroutine adds delivery results (addResults), and the goroutine of the
// call sends acknowledgements to the client (Server.write).
type writer struct {
	server *Server
	caller caller              // overrides what messages say about their origin
	window *semaphore.Weighted // one unit for each unacknowledged message
	wake   chan struct{}

	// Used only by the goroutine that stores messages.
	encoder record.Encoder
	records []record.Record

	// Used only by the goroutine that handles deliveries.
	pending results

	mu         sync.Mutex
	closed     bool // no more messages are accepted
	received   int64
	unresolved int // accepted messages without a result
	acks       acks
	err        error // the first failure that may succeed on another attempt
}

// write stores the messages returned by read until read returns io.EOF, and passes their outcomes
// to send. When the server stops or Kafka does not accept a message, write ends early with an error
// that asks the client to send unacknowledged messages again. It returns the number of messages
// received.
func (s *Server) write(
	ctx context.Context, read func() ([]*merchstorev1.LogMessage, error), send func(acks) error,
) (received int64, err error) {
	readCtx, stopReading := context.WithCancel(ctx)
	defer stopReading()
	from, _ := ctx.Value(callerKey{}).(caller)
	w := &writer{server: s, caller: from, window: semaphore.NewWeighted(int64(s.Window)), wake: make(chan struct{}, 1)}
	readErr := make(chan error, 1)
	go func() { readErr <- w.readAll(readCtx, read) }() // ends with the call, because then read fails

	var result error
	var drainTimeout <-chan time.Time
	readDone, stopping := (<-chan error)(readErr), s.Stopping.Done()
	drain := func(err error) {
		stopReading()
		w.close()
		result = err
		readDone = nil
		drainTimeout = time.After(s.DrainTimeout)
	}
	for {
		select {
		case <-w.wake:
		case result = <-readDone:
			readDone = nil
			w.close()
		case <-stopping:
			stopping = nil
			drain(errStopping)
		case <-drainTimeout:
			return w.count(), result
		case <-ctx.Done():
			return w.count(), ctx.Err()
		}
		acks, done, storeErr := w.takeAcks()
		if n := acks.len(); n > 0 {
			if err := send(acks); err != nil {
				return w.count(), err
			}
			w.window.Release(n)
		}
		if storeErr != nil && drainTimeout == nil {
			drain(errKafkaUnavailable.WithCause(storeErr))
			w.notify() // check again: all messages may already have a result
		}
		if done {
			return w.count(), result
		}
	}
}

var (
	errStopping = failure.New(failure.Unavailable, failure.ReasonUnavailable,
		"the logging service is stopping; send again what was not acknowledged")
	errKafkaUnavailable = failure.New(failure.Unavailable, failure.ReasonUnavailable,
		"Kafka does not accept messages now; send again what was not acknowledged")
)

// readAll stores the messages returned by read. It receives the next request while the previous one
// is being stored.
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
			return err // the goroutine above ends with ctx
		}
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

const (
	// chunkSize is the number of messages stored at a time. Locks are taken once for each chunk.
	chunkSize = 64
	// chunkBytes bounds the text of a chunk, so that it fits into the least LOG_IN_FLIGHT_BYTES even if
	// all of it is escaped.
	chunkBytes = 64 << 10
)

// store hands messages to Kafka in chunks, waiting for the stream's window and for memory. It must
// not be called again after an error.
func (w *writer) store(ctx context.Context, messages []*merchstorev1.LogMessage) error {
	for len(messages) > 0 {
		n, bytes := 0, 0
		for n < min(len(messages), chunkSize, w.server.Window) && bytes < chunkBytes {
			bytes += len(messages[n].GetText())
			n++
		}
		if err := w.window.Acquire(ctx, int64(n)); err != nil {
			return fmt.Errorf("wait for the stream's window: %w", err)
		}
		if !w.accept(n) {
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
	deliveries := make([]delivery, 0, len(messages)) // never grows: Kafka holds pointers to its elements
	var refused results
	var cost int64
	for _, m := range messages {
		if m != nil && w.caller.service != "" {
			m.Service, m.Pod = w.caller.service, w.caller.pod
		}
		if err := validate(m); err != nil {
			refused.add(m.GetId(), err)
			continue
		}
		id := m.GetId()
		if id == "" {
			id = uuid.Must(uuid.NewV7()).String()
		}
		message := messageFromProto(m, id, now)
		encoded := w.encoder.Encode(&message)
		w.records = append(w.records, encoded)
		d := delivery{writer: w, id: id, cost: messageCost + int64(len(encoded.Value)), span: w.server.startSpan(ctx, m, id)}
		deliveries = append(deliveries, d)
		cost += d.cost
	}
	w.addResults(refused)
	if len(deliveries) == 0 {
		return nil
	}
	deliveries[0].start = now
	if err := w.server.inFlight.Acquire(ctx, cost); err != nil {
		err = fmt.Errorf("wait for memory: %w", err)
		for i := range deliveries {
			deliveries[i].endSpan(err)
		}
		w.addResults(results{firstErr: err, failures: len(deliveries)})
		return err
	}
	w.server.metrics.inFlight.Add(float64(len(deliveries)))
	var failed results
	for i := range deliveries {
		d := &deliveries[i]
		if err := w.server.Store.Put(w.records[i], d); err != nil {
			d.endSpan(err)
			failed.add(d.id, err)
			failed.inFlight++
			failed.inFlightBytes += d.cost
		}
	}
	w.addResults(failed)
	return nil
}

// accept counts n messages as received. It reports whether the stream still accepts messages.
func (w *writer) accept(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.received += int64(n)
	w.unresolved += n
	w.server.metrics.received.Add(float64(n))
	return true
}

// addResults records the outcome of messages and wakes the goroutine that acknowledges them.
func (w *writer) addResults(r results) {
	m := w.server.metrics
	w.server.inFlight.Release(r.inFlightBytes)
	m.inFlight.Sub(float64(r.inFlight))
	m.stored.Add(float64(len(r.stored)))
	m.refused.Add(float64(len(r.refused)))
	m.failed.Add(float64(r.failures))

	n := len(r.stored) + len(r.refused) + r.failures
	if n == 0 {
		return
	}
	w.mu.Lock()
	w.unresolved -= n
	w.acks.stored = append(w.acks.stored, r.stored...)
	w.acks.refused = append(w.acks.refused, r.refused...)
	if w.err == nil {
		w.err = r.firstErr
	}
	w.mu.Unlock()
	w.notify()
}

// notify wakes the goroutine of the call.
func (w *writer) notify() {
	select {
	case w.wake <- struct{}{}:
	default: // already notified
	}
}

// takeAcks returns the outcomes to send now, whether these are the last ones, and the first
// failure.
func (w *writer) takeAcks() (out acks, done bool, storeErr error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out, w.acks = w.acks, acks{}
	return out, w.closed && w.unresolved == 0, w.err
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
