package cache

import "github.com/prometheus/client_golang/prometheus"

// What became of a read.
const (
	localHit = "local_hit" // found in the process
	hit      = "hit"       // found in level two
	miss     = "miss"      // read from the database, and put in
	bypass   = "bypass"    // read from the database although it might be cached
)

// What can fail, in metrics.
const (
	opConnect     = "connect"
	opRead        = "read"
	opLock        = "lock"
	opStore       = "store"
	opInvalidate  = "invalidate"
	opAcknowledge = "acknowledge"
	opDecode      = "decode"
)

type metrics struct {
	requests      *prometheus.CounterVec
	errors        *prometheus.CounterVec
	invalidations prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_cache_requests_total", Help: "Reads of accounts and products by their ids, by what became of them.",
		}, []string{"kind", "result"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_cache_errors_total", Help: "Operations on the cache that have failed or took too long.",
		}, []string{"operation"}),
		invalidations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "merchstore_cache_invalidations_total", Help: "Accounts and products taken out because they have changed.",
		}),
	}
	for _, operation := range []string{opConnect, opRead, opLock, opStore, opInvalidate, opAcknowledge, opDecode} {
		m.errors.WithLabelValues(operation)
	}
	r.MustRegister(m.requests, m.errors, m.invalidations)
	return m
}
