package server

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	received prometheus.Counter
	stored   prometheus.Counter
	refused  prometheus.Counter
	failed   prometheus.Counter
	inFlight prometheus.Gauge
	latency  prometheus.Histogram
	tails    prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		received: counter("merchstore_logging_messages_received_total", "Messages received from clients."),
		stored:   counter("merchstore_logging_messages_stored_total", "Messages stored in Kafka."),
		refused:  counter("merchstore_logging_messages_refused_total", "Messages refused because they can never be stored."),
		failed:   counter("merchstore_logging_messages_failed_total", "Messages that Kafka did not accept; their clients send them again."),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "merchstore_logging_messages_in_flight", Help: "Messages handed to Kafka without a delivery result yet.",
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "merchstore_logging_store_seconds", Help: "Time until a message is stored in Kafka, observed for the first message of each batch.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 17),
		}),
		tails: prometheus.NewGauge(prometheus.GaugeOpts{Name: "merchstore_logging_tails", Help: "Open TailLogs calls."}),
	}
	r.MustRegister(m.received, m.stored, m.refused, m.failed, m.inFlight, m.latency, m.tails)
	return m
}
