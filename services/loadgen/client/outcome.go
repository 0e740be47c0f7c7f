package client

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcome is the result of a request as the user sees it. It is a label of metrics.
type Outcome string

// All outcomes.
const (
	Success     Outcome = "success"
	NotModified Outcome = "not_modified"
	Replayed    Outcome = "replayed"     // the first response to a repeated idempotency key
	OutOfStock  Outcome = "out_of_stock" // an order exceeds the stock
	Stale       Outcome = "stale"        // If-Match names an old version
	Rejected    Outcome = "rejected"     // the request is invalid or not allowed
	InFlight    Outcome = "in_flight"    // the first request with this idempotency key is not finished
	RateLimited Outcome = "rate_limited"
	Unavailable Outcome = "unavailable"  // a dependency of the store is unavailable
	ServerError Outcome = "server_error" // any other 5xx
	NoResponse  Outcome = "no_response"  // no connection, or a timeout
)

func outcome(status int, header http.Header, body []byte) Outcome {
	switch {
	case status == http.StatusNotModified:
		return NotModified
	case status < http.StatusMultipleChoices && header.Get("Idempotent-Replayed") == "true":
		return Replayed
	case status < http.StatusMultipleChoices:
		return Success
	case status == http.StatusConflict && problemCode(body) == "out_of_stock":
		return OutOfStock
	case status == http.StatusConflict && problemCode(body) == "idempotency_key_in_flight":
		return InFlight
	case status == http.StatusPreconditionFailed:
		return Stale
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusServiceUnavailable:
		return Unavailable
	case status >= http.StatusInternalServerError:
		return ServerError
	default:
		return Rejected
	}
}

// problemCode returns the code of an RFC 9457 problem, or "" if body is not one.
func problemCode(body []byte) string {
	var problem struct{ Code string }
	if json.Unmarshal(body, &problem) != nil {
		return ""
	}
	return problem.Code
}

type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_loadgen_requests_total", Help: "Requests of the load generator by action and outcome.",
		}, []string{"action", "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "merchstore_loadgen_request_duration_seconds",
			Help: "Time from sending a request until its response was read, or there was none, as the load generator measures it.",
			// The store's own buckets, up to requestTimeout.
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}, []string{"action"}),
	}
	registry.MustRegister(m.requests, m.durations)
	return m
}

func (m *metrics) observe(action string, o Outcome, duration time.Duration) {
	m.requests.WithLabelValues(action, string(o)).Inc()
	m.durations.WithLabelValues(action).Observe(duration.Seconds())
}
