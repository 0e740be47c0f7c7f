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

// writer is one stream of messages on their way into Kafka. One goroutine reads it (take), the producer's goroutine
// brings what became of each message (settle), and the call's own goroutine tells the client (Server.write).
type writer struct {
	server  *Server
	window  *semaphore.Weighted // one for each message without an answer
	encoder record.Encoder
	wake    chan struct{}

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
	ended := make(chan error, 1)
	go func() { ended <- w.readAll(reading, read) }() // it ends with the call at the latest: then read fails

	var result error
	var expired <-chan time.Time
	stopping := s.Stopping.Done()
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
		out, failed, done := w.take()
		if n := out.len(); n > 0 {
			if err := answer(out); err != nil {
				return w.count(), err
			}
			w.window.Release(n)
		}
		if failed != nil && expired == nil {
			ended = nil
			endWith(errKafkaAway.Because(failed))
		}
		if done {
			return w.count(), result
		}
	}
}

var (
	errStopping  = failure.New(failure.Unavailable, failure.ReasonUnavailable, "the logging service is stopping; send again what was not acknowledged")
	errKafkaAway = failure.New(failure.Unavailable, failure.ReasonUnavailable, "Kafka does not take messages now; send again what was not acknowledged")
)

func (w *writer) readAll(ctx context.Context, read func() ([]*merchstorev1.LogMessage, error)) error {
	for {
		messages, err := read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.store(ctx, messages); err != nil {
			return err
		}
	}
}

// store takes messages in, waiting for room, and hands them on. It must not be called again after an error.
func (w *writer) store(ctx context.Context, messages []*merchstorev1.LogMessage) error {
	now := time.Now()
	receipts := make([]receipt, len(messages)) // one allocation for all of them
	for i, m := range messages {
		if err := w.window.Acquire(ctx, 1); err != nil {
			return fmt.Errorf("wait for the stream's window: %w", err)
		}
		if !w.admit() {
			return errStopping
		}
		r := &receipts[i]
		*r = receipt{writer: w, id: m.GetId()}
		if reason := check(m); reason != "" {
			w.settle(r.id, &record.RefusedError{Reason: reason})
			continue
		}
		if r.id == "" {
			r.id = uuid.Must(uuid.NewV7()).String()
		}
		if i == 0 {
			r.since = now
		}
		message := messageOf(m, r.id, now)
		encoded := w.encoder.Encode(&message)
		r.cost = messageCost + int64(len(encoded.Value))
		if err := w.server.inFlight.Acquire(ctx, r.cost); err != nil {
			w.settle(r.id, err)
			return fmt.Errorf("wait for memory: %w", err)
		}
		w.server.metrics.inFlight.Inc()
		if err := w.server.Store.Put(encoded, r); err != nil {
			r.Delivered(err)
		}
	}
	return nil
}

// admit counts one message in, unless the stream has come to its end.
func (w *writer) admit() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.received++
	w.open++
	w.server.metrics.received.Inc()
	return true
}

// settle notes what became of a message.
func (w *writer) settle(id string, err error) {
	w.mu.Lock()
	w.open--
	var refused *record.RefusedError
	switch {
	case err == nil:
		w.out.stored = append(w.out.stored, id)
		w.server.metrics.stored.Inc()
	case errors.As(err, &refused):
		w.out.refused = append(w.out.refused, &merchstorev1.RefusedLog{Id: id, Reason: refused.Reason})
		w.server.metrics.refused.Inc()
	default:
		if w.failed == nil {
			w.failed = err
		}
		w.server.metrics.failed.Inc()
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// take gives what is to be answered, and whether that was all there will ever be.
func (w *writer) take() (out answers, failed error, done bool) { //nolint:revive // failed is not this function's error
	w.mu.Lock()
	defer w.mu.Unlock()
	out, w.out = w.out, answers{stored: make([]string, 0, cap(w.out.stored))}
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

// receipt is one message that was handed to Kafka.
type receipt struct {
	writer *writer
	id     string
	cost   int64
	since  time.Time // zero but for a sample
}

// Delivered implements record.Receipt.
func (r *receipt) Delivered(err error) {
	s := r.writer.server
	s.inFlight.Release(r.cost)
	s.metrics.inFlight.Dec()
	if !r.since.IsZero() && err == nil {
		s.metrics.latency.Observe(time.Since(r.since).Seconds())
	}
	r.writer.settle(r.id, err)
}
