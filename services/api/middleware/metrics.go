package middleware

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/tracing"
)

// Log writes one line per request. It has the route's path pattern, and nothing of the client's
// that may be secret: no path, query, body or token.
func Log(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		c.Next()
		ctx := c.Request.Context()
		log.LogAttrs(ctx, slog.LevelInfo, "request",
			slog.String("method", method(c)), slog.String("route", route(c)),
			slog.Int("status", c.Writer.Status()),
			slog.Int64("duration_us", time.Since(start).Microseconds()),
			slog.String("request_id", rpc.RequestID(ctx)), tracing.LogAttr(ctx))
	}
}

// Metrics counts and times requests.
func Metrics(registry prometheus.Registerer) gin.HandlerFunc {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests answered.",
	}, []string{"route", "method", "status"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "http_request_duration_seconds",
		Help:    "Time from when the headers were read until the answer was written.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		// For scrapers of native histograms: buckets that grow by a tenth instead of doubling.
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"route", "method"})
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "http_requests_in_flight", Help: "Requests being answered right now.",
	})
	registry.MustRegister(total, duration, inFlight)
	return func(c *gin.Context) {
		start := time.Now()
		inFlight.Inc()
		defer inFlight.Dec() // even if a handler aborts the connection with a panic
		c.Next()
		total.WithLabelValues(route(c), method(c), strconv.Itoa(c.Writer.Status())).Inc()
		tracing.Observe(c.Request.Context(), duration.WithLabelValues(route(c), method(c)),
			time.Since(start).Seconds())
	}
}

// route returns the path pattern of the request's route. Labels never contain a client's input.
func route(c *gin.Context) string {
	if pattern := c.FullPath(); pattern != "" {
		return pattern
	}
	return "unmatched"
}

// method returns the request's method if it is a common one.
func method(c *gin.Context) string {
	switch m := c.Request.Method; m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions:
		return m
	default:
		return "other"
	}
}
