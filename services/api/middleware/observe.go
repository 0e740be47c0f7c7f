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

// unmatched is the route of requests that no route is for: labels are never made of what clients write.
const unmatched = "unmatched"

// Observe writes one line and one measurement per request. Neither holds anything a client may keep to itself: no
// query, no body, no token, and the template of the path instead of the path.
func Observe(log *slog.Logger, metrics prometheus.Registerer) gin.HandlerFunc {
	labels := []string{"route", "method", "status"}
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests answered.",
	}, labels)
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Time from the first byte read to the last byte written.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	}, labels)
	metrics.MustRegister(total, duration)

	return func(c *gin.Context) {
		start := time.Now()
		c.Next()
		took := time.Since(start)

		route := c.FullPath()
		if route == "" {
			route = unmatched
		}
		method, status := knownMethod(c.Request.Method), c.Writer.Status()
		word := strconv.Itoa(status)
		total.WithLabelValues(route, method, word).Inc()
		duration.WithLabelValues(route, method, word).Observe(took.Seconds())
		ctx := c.Request.Context()
		log.LogAttrs(ctx, slog.LevelInfo, "request",
			slog.String("method", method), slog.String("route", route), slog.Int("status", status),
			slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("request_id", rpc.RequestID(ctx)), tracing.LogAttr(ctx))
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
