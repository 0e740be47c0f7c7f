package middleware

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/tracing"
)

// unmatched is the route of requests that no route is for: labels are never made of what clients write.
const unmatched = "unmatched"

// Observe writes one line per request, and measures it if there is somewhere to register that. Neither holds anything a client may keep
// to itself: no query, no body, no token, and the template of the path instead of the path.
func Observe(log *slog.Logger, registry prometheus.Registerer) gin.HandlerFunc {
	m := newMetrics(registry)
	return func(c *gin.Context) {
		start := time.Now()
		m.underWay(1)
		defer m.underWay(-1) // also when a handler ends the connection by a panic
		c.Next()
		took := time.Since(start)

		route := c.FullPath()
		if route == "" {
			route = unmatched
		}
		method, status := knownMethod(c.Request.Method), c.Writer.Status()
		ctx := c.Request.Context()
		m.end(ctx, route, method, status, took)
		log.LogAttrs(ctx, slog.LevelInfo, "request",
			slog.String("method", method), slog.String("route", route), slog.Int("status", status),
			slog.Int64("duration_us", took.Microseconds()), slog.String("request_id", rpc.RequestID(ctx)), tracing.LogAttr(ctx))
	}
}

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	default:
		return "other"
	}
}

// metrics are those of requests; nil measures nothing.
type metrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	series   sync.Map // of outcome to *measure: looking them up by their labels takes longer than all the rest
}

type (
	outcome struct {
		route, method string
		status        int
	}
	measure struct {
		total    prometheus.Counter
		duration prometheus.Observer
	}
)

func newMetrics(r prometheus.Registerer) *metrics {
	if r == nil {
		return nil
	}
	m := &metrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time from when the headers were read until the answer was written.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
			// For those who ask for it: one bucket more for every tenth that a time is longer, instead of for every doubling.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"route", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_in_flight", Help: "Requests being answered right now.",
		}),
	}
	r.MustRegister(m.total, m.duration, m.inFlight)
	return m
}

func (m *metrics) underWay(more float64) {
	if m != nil {
		m.inFlight.Add(more)
	}
}

func (m *metrics) end(ctx context.Context, route, method string, status int, took time.Duration) {
	if m == nil {
		return
	}
	o := outcome{route, method, status}
	found, ok := m.series.Load(o)
	if !ok {
		found, _ = m.series.LoadOrStore(o, &measure{
			m.total.WithLabelValues(route, method, strconv.Itoa(status)), m.duration.WithLabelValues(route, method),
		})
	}
	s := found.(*measure) //nolint:forcetypeassert // nothing else is put in
	s.total.Inc()
	tracing.Observe(ctx, s.duration, took.Seconds())
}
