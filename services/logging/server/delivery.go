package server

import (
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
)

// verdicts are what became of some messages of one stream.
type verdicts struct {
	stored   []string
	refused  []*merchstorev1.RefusedLog
	failure  error // the first of those that may succeed another time
	failures int

	put  int   // how many of them had been handed to Kafka
	cost int64 // of those, in bytes
}

func (v *verdicts) add(id string, err error) {
	var refused *record.RefusedError
	switch {
	case err == nil:
		v.stored = append(v.stored, id)
	case errors.As(err, &refused):
		v.refused = append(v.refused, &merchstorev1.RefusedLog{Id: id, Reason: refused.Reason})
	default:
		if v.failure == nil {
			v.failure = err
		}
		v.failures++
	}
}

func (v *verdicts) empty() bool { return v.put == 0 }

// receipt is one message that was handed to Kafka.
type receipt struct {
	writer *writer
	id     string
	cost   int64
	since  time.Time  // zero but for a sample
	span   trace.Span // nil unless the message is part of a trace
}

// Delivered implements record.Receipt. It only gathers: Settle is called when no other report is at hand.
func (r *receipt) Delivered(err error) {
	w := r.writer
	r.endSpan(err)
	if !r.since.IsZero() && err == nil {
		w.server.metrics.latency.Observe(time.Since(r.since).Seconds())
	}
	if w.pending.empty() {
		w.server.unsettled = append(w.server.unsettled, w)
	}
	w.pending.add(r.id, err)
	w.pending.cost += r.cost
	w.pending.put++
	if w.pending.put >= maxPending {
		w.flush()
	}
}

const maxPending = 512

// Settle passes on what receipts have gathered. It is to be called from the goroutine that tells receipts.
func (s *Server) Settle() {
	for _, w := range s.unsettled {
		w.flush()
	}
	clear(s.unsettled)
	s.unsettled = s.unsettled[:0]
}

func (w *writer) flush() {
	w.settle(w.pending)
	w.pending = verdicts{stored: w.pending.stored[:0], refused: w.pending.refused[:0]}
}
