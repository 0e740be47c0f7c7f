package report

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are those of both kinds. How often reconciles succeed and fail is counted by controller-runtime
// (controller_runtime_reconcile_total).
type Metrics struct {
	ready       *prometheus.GaugeVec
	corrections *prometheus.CounterVec
	calls       *prometheus.HistogramVec
	released    *prometheus.CounterVec
	changed     *prometheus.GaugeVec
	expiry      *prometheus.GaugeVec
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	object := []string{"kind", "namespace", "name"}
	m := &Metrics{
		ready: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "merchstore_operator_object_ready", Help: "Whether an object's condition Ready is true: 1 or 0.",
		}, object),
		corrections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_operator_drift_corrections_total", Help: "Differences made behind the operator's back that it has put right.",
		}, object),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "merchstore_operator_call_seconds", Help: "Time that calls to Kafka and PostgreSQL took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"system", "operation", "outcome"}),
		released: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_operator_finalizers_released_total", Help: "Objects let go although what they stand for could not be deleted in time.",
		}, []string{"kind"}),
		changed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "merchstore_operator_credentials_changed_timestamp_seconds",
			Help: "When what the Secret of an object's connection holds was last changed, since 1970.",
		}, object),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "merchstore_operator_certificate_expiry_timestamp_seconds",
			Help: "When the first certificate in the Secret of an object's connection ends, since 1970; not there if it has none.",
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

// Call measures a call to a system ("kafka" or "postgresql") that began at start.
func (m *Metrics) Call(system, operation string, start time.Time, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	m.calls.WithLabelValues(system, operation, outcome).Observe(time.Since(start).Seconds())
}

// Released counts an object that was let go although what it stands for could not be deleted in time.
func (m *Metrics) Released(kind string) { m.released.WithLabelValues(kind).Inc() }
