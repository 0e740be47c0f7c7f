package client

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcome is what came of a request, as the person sees it.
type Outcome string

// There are no other outcomes: they are a label of metrics.
const (
	Done        Outcome = "done"
	NotModified Outcome = "not_modified" // the copy that one has is still right
	Replayed    Outcome = "replayed"     // the answer was given before, to the same idempotency key
	SoldOut     Outcome = "sold_out"
	Stale       Outcome = "stale"       // somebody else has changed it meanwhile
	Refused     Outcome = "refused"     // the request was wrong, or not for this person to make
	InFlight    Outcome = "in_flight"   // the answer to the same idempotency key is still being made
	Limited     Outcome = "limited"     // too many requests
	Unavailable Outcome = "unavailable" // something that the store needs is away
	Failed      Outcome = "failed"      // the store's fault
	NoAnswer    Outcome = "no_answer"   // the store could not be reached, or took too long
)

func outcome(status int, header http.Header, body []byte) Outcome {
	switch {
	case status == http.StatusNotModified:
		return NotModified
	case status < http.StatusMultipleChoices && header.Get("Idempotent-Replayed") == "true":
		return Replayed
	case status < http.StatusMultipleChoices:
		return Done
	case status == http.StatusConflict && code(body) == "out_of_stock":
		return SoldOut
	case status == http.StatusConflict && code(body) == "idempotency_key_in_flight":
		return InFlight
	case status == http.StatusPreconditionFailed:
		return Stale
	case status == http.StatusTooManyRequests:
		return Limited
	case status == http.StatusServiceUnavailable:
		return Unavailable
	case status >= http.StatusInternalServerError:
		return Failed
	default:
		return Refused
	}
}

// code is the word for programs in a problem.
func code(body []byte) string {
	var problem struct{ Code string }
	if json.Unmarshal(body, &problem) != nil {
		return ""
	}
	return problem.Code
}

type measurements struct {
	actions *prometheus.CounterVec
	answers *prometheus.HistogramVec
}

func newMeasurements(metrics prometheus.Registerer) *measurements {
	m := &measurements{
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_shoppers_actions_total", Help: "Requests that shoppers have made, and what came of them.",
		}, []string{"action", "outcome"}),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "merchstore_shoppers_answer_duration_seconds",
			Help: "Time from sending a request until all of its answer was read, or there was none, as shoppers see it.",
			// As those of the store's own, up to where shoppers give up.
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}, []string{"action"}),
	}
	metrics.MustRegister(m.actions, m.answers)
	return m
}

func (m *measurements) count(action string, o Outcome, took time.Duration) {
	m.actions.WithLabelValues(action, string(o)).Inc()
	m.answers.WithLabelValues(action).Observe(took.Seconds())
}
