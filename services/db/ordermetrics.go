package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/tracing"
	"merchstore.io/merchstore/services/db/shop"
)

// orderMetrics say what becomes of orders.
type orderMetrics struct {
	placed, replayed, cancelled prometheus.Counter
	refused                     *prometheus.CounterVec
	groupSize, groupTime        prometheus.Histogram
}

func newOrderMetrics(r prometheus.Registerer) *orderMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &orderMetrics{
		placed:    counter("merchstore_orders_placed_total", "Orders placed."),
		replayed:  counter("merchstore_orders_replayed_total", "Answers given again for an idempotency key."),
		cancelled: counter("merchstore_orders_cancelled_total", "Orders cancelled."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_orders_refused_total", Help: "Orders refused by the rules, or failed with their group, by the code of the error that was answered.",
		}, []string{"reason"}),
		groupSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "merchstore_order_group_size", Help: "Orders asked for in one transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		groupTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "merchstore_order_group_duration_seconds", Help: "Time of a transaction that places a group of orders, its commit included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
	}
	m.refused.WithLabelValues("out_of_stock") // so that the first one is seen as an increase
	r.MustRegister(m.placed, m.replayed, m.cancelled, m.refused, m.groupSize, m.groupTime)
	return m
}

type placeOrders func(ctx context.Context, placements []shop.Placement) ([]shop.Outcome, error)

// placing measures what places groups of orders.
func (m *orderMetrics) placing(place placeOrders) placeOrders {
	return func(ctx context.Context, placements []shop.Placement) ([]shop.Outcome, error) {
		start := time.Now()
		outcomes, err := place(ctx, placements)
		tracing.Observe(ctx, m.groupTime, time.Since(start).Seconds())
		m.groupSize.Observe(float64(len(placements)))
		if err != nil {
			m.refused.WithLabelValues(codeOf(err)).Add(float64(len(placements)))
		}
		for _, o := range outcomes {
			switch {
			case o.Replayed:
				m.replayed.Inc()
			case o.Failure != nil:
				m.refused.WithLabelValues(string(o.Failure.Reason)).Inc()
			default:
				m.placed.Inc()
			}
		}
		return outcomes, err
	}
}

func codeOf(err error) string {
	if f, ok := failure.As(err); ok {
		return string(f.Reason)
	}
	return string(failure.ReasonInternal)
}

// cancelling counts the orders that a store cancels.
func (m *orderMetrics) cancelling(store shop.OrderStore) shop.OrderStore {
	return cancellations{store, m.cancelled}
}

type cancellations struct {
	shop.OrderStore
	total prometheus.Counter
}

// CancelOrder implements shop.OrderStore.
func (c cancellations) CancelOrder(ctx context.Context, id int64) (shop.Order, error) {
	order, err := c.OrderStore.CancelOrder(ctx, id)
	if err == nil {
		c.total.Inc()
	}
	return order, err //nolint:wrapcheck // as it came
}
