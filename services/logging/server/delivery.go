package server

import (
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
)

// maxPending is the number of delivery results after which a writer flushes without waiting for
// FlushDeliveries.
const maxPending = 512

// results are the outcomes of messages of one stream.
type results struct {
	stored   []string
	refused  []*merchstorev1.RefusedLog
	failures int   // messages that may succeed when they are sent again
	firstErr error // the error of the first of these

	inFlight      int   // messages that had been counted as in flight
	inFlightBytes int64 // their cost
}

func (r *results) add(id string, err error) {
	var refused *record.RefusedError
	switch {
	case err == nil:
		r.stored = append(r.stored, id)
	case errors.As(err, &refused):
		r.refused = append(r.refused, &merchstorev1.RefusedLog{Id: id, Reason: refused.Reason})
	default:
		if r.firstErr == nil {
			r.firstErr = err
		}
		r.failures++
	}
}

// delivery is a message that has been handed to Kafka.
type delivery struct {
	writer *writer
	id     string
	cost   int64      // in bytes
	start  time.Time  // zero if the latency of this message is not observed
	span   trace.Span // nil if the message is not part of a trace
}

// HandleDelivery implements record.DeliveryHandler. Results are collected until FlushDeliveries, so
// that locks are taken once for many messages.
func (d *delivery) HandleDelivery(err error) {
	w := d.writer
	d.endSpan(err)
	if !d.start.IsZero() && err == nil {
		w.server.metrics.latency.Observe(time.Since(d.start).Seconds())
	}
	if w.pending.inFlight == 0 {
		w.server.unflushed = append(w.server.unflushed, w)
	}
	w.pending.add(d.id, err)
	w.pending.inFlight++
	w.pending.inFlightBytes += d.cost
	if w.pending.inFlight >= maxPending {
		w.flush()
	}
}

// FlushDeliveries passes collected delivery results to their streams. It must be called from the
// goroutine that calls HandleDelivery.
func (s *Server) FlushDeliveries() {
	for _, w := range s.unflushed {
		w.flush()
	}
	clear(s.unflushed)
	s.unflushed = s.unflushed[:0]
}

func (w *writer) flush() {
	w.addResults(w.pending)
	w.pending = results{stored: w.pending.stored[:0], refused: w.pending.refused[:0]}
}
