package logstream

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	sent, resent, acknowledged                   prometheus.Counter
	droppedFull, droppedRefused, droppedShutdown prometheus.Counter
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
	}
	r.MustRegister(m.sent, m.resent, m.acknowledged, dropped, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "merchstore_log_queue_depth", Help: "Log messages that are kept because Kafka does not have them yet.",
	}, func() float64 { return float64(q.depth()) }))
	return m
}
