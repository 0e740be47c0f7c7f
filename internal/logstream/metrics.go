package logstream

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	sent, resent, acknowledged                   prometheus.Counter
	droppedFull, droppedRefused, droppedShutdown prometheus.Counter
	latency                                      prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, q *queue) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "merchstore_log_messages_dropped_total", Help: "Log messages dropped, by reason.",
	}, []string{"reason"})
	m := &metrics{
		sent:            counter("merchstore_log_messages_sent_total", "Log messages sent to the logging service, each counted once."),
		resent:          counter("merchstore_log_messages_resent_total", "Log messages sent again because a stream ended before they were acknowledged."),
		acknowledged:    counter("merchstore_log_messages_acknowledged_total", "Log messages acknowledged as stored in Kafka."),
		droppedFull:     dropped.WithLabelValues("queue_full"),
		droppedRefused:  dropped.WithLabelValues("refused"),
		droppedShutdown: dropped.WithLabelValues("shutdown"),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "merchstore_log_acknowledgement_seconds",
			Help:    "Time from logging a message until it is acknowledged, for the oldest message of each response.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 16),
		}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	r.MustRegister(m.sent, m.resent, m.acknowledged, dropped, m.latency,
		gauge("merchstore_log_queue_depth", "Log messages queued because Kafka has not stored them yet.",
			func() float64 { return float64(q.depth()) }),
		gauge("merchstore_log_queue_oldest_seconds", "Age of the oldest queued log message; 0 if there is none.",
			func() float64 { return q.oldest(time.Now()).Seconds() }))
	return m
}
