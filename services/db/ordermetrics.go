package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/tracing"
	"merchstore.io/merchstore/services/db/batch"
	"merchstore.io/merchstore/services/db/shop"
)

// orderMetrics measures orders.
type orderMetrics struct {
	placed, replayed, cancelled prometheus.Counter
	rejected                    *prometheus.CounterVec
	batchSize, batchDuration    prometheus.Histogram
}

func newOrderMetrics(r prometheus.Registerer) *orderMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &orderMetrics{
		placed:    counter("merchstore_orders_placed_total", "Orders placed."),
		replayed:  counter("merchstore_orders_replayed_total", "Outcomes replayed for an idempotency key."),
		cancelled: counter("merchstore_orders_cancelled_total", "Orders cancelled."),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_orders_refused_total",
			Help: "Orders rejected by the business rules or failed with their batch, by error code.",
		}, []string{"reason"}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "merchstore_order_group_size",
			Help:    "Number of order requests in one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		batchDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "merchstore_order_group_duration_seconds",
			Help:    "Duration of a transaction that places a batch of orders, including its commit.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
	}
	m.rejected.WithLabelValues("out_of_stock") // starting at 0, the first one shows as an increase
	r.MustRegister(m.placed, m.replayed, m.cancelled, m.rejected, m.batchSize, m.batchDuration)
	return m
}

// measurePlace returns place with its batches measured.
func (m *orderMetrics) measurePlace(
	place batch.Func[shop.OrderRequest, shop.Outcome],
) batch.Func[shop.OrderRequest, shop.Outcome] {
	return func(ctx context.Context, requests []shop.OrderRequest) ([]shop.Outcome, error) {
		start := time.Now()
		outcomes, err := place(ctx, requests)
		tracing.Observe(ctx, m.batchDuration, time.Since(start).Seconds())
		m.batchSize.Observe(float64(len(requests)))
		if err != nil {
			m.rejected.WithLabelValues(reasonOf(err)).Add(float64(len(requests)))
		}
		for _, o := range outcomes {
			switch {
			case o.Replayed:
				m.replayed.Inc()
			case o.Failure != nil:
				m.rejected.WithLabelValues(string(o.Failure.Reason)).Inc()
			default:
				m.placed.Inc()
			}
		}
		return outcomes, err
	}
}

func reasonOf(err error) string {
	if f, ok := failure.As(err); ok {
		return string(f.Reason)
	}
	return string(failure.ReasonInternal)
}

// measureCancel returns store with its cancelled orders counted.
func (m *orderMetrics) measureCancel(store shop.OrderStore) shop.OrderStore {
	return measuredStore{store, m.cancelled}
}

type measuredStore struct {
	shop.OrderStore
	cancelled prometheus.Counter
}

// CancelOrder implements shop.OrderStore.
func (s measuredStore) CancelOrder(ctx context.Context, id int64) (shop.Order, error) {
	order, err := s.OrderStore.CancelOrder(ctx, id)
	if err == nil {
		s.cancelled.Inc()
	}
	return order, err
}
