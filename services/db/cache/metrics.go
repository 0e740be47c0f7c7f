package cache

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Results of a read.
const (
	localHit = "local_hit" // found in the process
	hit      = "hit"       // found in the server
	miss     = "miss"      // read from the database, and stored
	bypass   = "bypass"    // read from the database, and not stored
)

type metrics struct {
	requests, errors *prometheus.CounterVec
	invalidations    prometheus.Counter
}

func newMetrics(r prometheus.Registerer, usable func() bool) metrics {
	f := promauto.With(r)
	m := metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_cache_requests_total", Help: "Reads of accounts and products by their ids, by result.",
		}, []string{"kind", "result"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_cache_errors_total", Help: "Cache operations that failed or timed out.",
		}, []string{"operation"}),
		invalidations: f.NewCounter(prometheus.CounterOpts{
			Name: "merchstore_cache_invalidations_total", Help: "Cached accounts and products deleted because they changed.",
		}),
	}
	for _, operation := range []string{"ping", "read", "lock", "store", "invalidate"} {
		m.errors.WithLabelValues(operation)
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "merchstore_cache_available", Help: "1 if the cache is in use, 0 if everything is read from the database.",
	}, func() float64 {
		if usable() {
			return 1
		}
		return 0
	})
	return m
}
