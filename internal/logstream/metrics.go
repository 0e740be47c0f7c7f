package logstream

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	sent, resent, acknowledged                   prometheus.Counter
	droppedFull, droppedRefused, droppedShutdown prometheus.Counter
	took                                         prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, q *queue) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "merchstore_log_messages_dropped_total", Help: "Log messages that were given up, by reason.",
	}, []string{"reason"})
	m := &metrics{
		sent:            counter("merchstore_log_messages_sent_total", "Log messages sent to the logging service, each counted once."),
		resent:          counter("merchstore_log_messages_resent_total", "Log messages sent again because a stream ended before they were acknowledged."),
		acknowledged:    counter("merchstore_log_messages_acknowledged_total", "Log messages that Kafka has."),
		droppedFull:     dropped.WithLabelValues("queue_full"),
		droppedRefused:  dropped.WithLabelValues("refused"),
		droppedShutdown: dropped.WithLabelValues("shutdown"),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "merchstore_log_acknowledgement_seconds",
			Help:    "Time from when something was logged until Kafka has it, for the oldest message kept at each answer of the logging service.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 16),
		}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	r.MustRegister(m.sent, m.resent, m.acknowledged, dropped, m.took,
		gauge("merchstore_log_queue_depth", "Log messages that are kept because Kafka does not have them yet.",
			func() float64 { return float64(q.depth()) }),
		gauge("merchstore_log_queue_oldest_seconds", "Age of the oldest log message that Kafka does not have yet; 0 if there is none.",
			func() float64 { return q.oldest(time.Now()).Seconds() }))
	return m
}
