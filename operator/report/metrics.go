package report

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics holds the metrics of both kinds. controller-runtime counts reconciles by outcome
// (controller_runtime_reconcile_total).
type Metrics struct {
	ready       *prometheus.GaugeVec
	corrections *prometheus.CounterVec
	calls       *prometheus.HistogramVec
	released    *prometheus.CounterVec
	changed     *prometheus.GaugeVec
	expiry      *prometheus.GaugeVec
}

// NewMetrics returns metrics that are registered with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	object := []string{"kind", "namespace", "name"}
	m := &Metrics{
		ready: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "merchstore_operator_object_ready", Help: "Whether an object's condition Ready is true: 1 or 0.",
		}, object),
		corrections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_operator_drift_corrections_total", Help: "Changes by others that the operator has corrected.",
		}, object),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "merchstore_operator_call_seconds", Help: "Duration of calls to Kafka and PostgreSQL.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"system", "operation", "outcome"}),
		released: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_operator_finalizers_released_total", Help: "Objects released although their topic could not be deleted in time.",
		}, []string{"kind"}),
		changed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "merchstore_operator_credentials_changed_timestamp_seconds",
			Help: "Unix time at which the data of the connection's Secret was last changed.",
		}, object),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "merchstore_operator_certificate_expiry_timestamp_seconds",
			Help: "Unix time at which the first certificate in the connection's Secret, or in that Secret, expires; absent if it has none.",
		}, object),
	}
	r.MustRegister(m.ready, m.corrections, m.calls, m.released, m.changed, m.expiry)
	return m
}

func (m *Metrics) setReady(kind string, obj Object, ready bool) {
	value := 0.0
	if ready {
		value = 1
	}
	m.ready.WithLabelValues(kind, obj.GetNamespace(), obj.GetName()).Set(value)
}

// Call records a call to a system ("kafka" or "postgresql") that began at start.
func (m *Metrics) Call(system, operation string, start time.Time, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	m.calls.WithLabelValues(system, operation, outcome).Observe(time.Since(start).Seconds())
}

// Released counts an object that was released although its topic could not be deleted in time.
func (m *Metrics) Released(kind string) { m.released.WithLabelValues(kind).Inc() }
