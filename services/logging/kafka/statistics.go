package kafka

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// statisticsInterval is the interval at which librdkafka emits statistics.
const statisticsInterval = 5 * time.Second

// statistics exports librdkafka's latest statistics as metrics. STATISTICS.md of librdkafka
// documents them.
type statistics struct {
	mu   sync.Mutex
	last *rdkafkaStats
}

// rdkafkaStats is the exported part of the statistics. Times are in microseconds.
type rdkafkaStats struct {
	QueueMessages float64                `json:"msg_cnt"`
	QueueBytes    float64                `json:"msg_size"`
	Messages      float64                `json:"txmsgs"`
	Bytes         float64                `json:"txmsg_bytes"`
	Brokers       map[string]brokerStats `json:"brokers"`
}

type brokerStats struct {
	NodeID    int     `json:"nodeid"`
	State     string  `json:"state"`
	Errors    float64 `json:"txerrs"`
	Retries   float64 `json:"txretries"`
	RoundTrip struct {
		Median float64 `json:"p50"`
		P99    float64 `json:"p99"`
	} `json:"rtt"`
}

var (
	queueMessagesDesc = desc("merchstore_kafka_producer_queue_messages", "Records queued in the client that Kafka has not stored yet.")
	queueBytesDesc    = desc("merchstore_kafka_producer_queue_bytes", "Size of those records.")
	messagesDesc      = desc("merchstore_kafka_producer_messages_total", "Records sent to brokers.")
	bytesDesc         = desc("merchstore_kafka_producer_bytes_total", "Size of the records sent to brokers.")
	errorsDesc        = desc("merchstore_kafka_producer_request_errors_total", "Requests to a broker that failed.", "broker")
	retriesDesc       = desc("merchstore_kafka_producer_request_retries_total", "Requests to a broker that were retried.", "broker")
	upDesc            = desc("merchstore_kafka_broker_up", "1 while the broker is connected, otherwise 0.", "broker")
	roundTripDesc     = desc("merchstore_kafka_broker_round_trip_seconds", "Round trip time of requests to a broker, over the last seconds.", "broker", "percentile")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// update parses statistics emitted by librdkafka.
func (s *statistics) update(text string) error {
	stats := new(rdkafkaStats)
	if err := json.Unmarshal([]byte(text), stats); err != nil {
		return fmt.Errorf("parse statistics: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = stats
	return nil
}

// Describe implements prometheus.Collector.
func (s *statistics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueMessagesDesc, queueBytesDesc, messagesDesc, bytesDesc, errorsDesc, retriesDesc, upDesc, roundTripDesc} {
		descs <- d
	}
}

// Collect implements prometheus.Collector. It emits nothing until the first statistics have
// arrived.
func (s *statistics) Collect(metrics chan<- prometheus.Metric) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last == nil {
		return
	}
	emit := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	emit(queueMessagesDesc, prometheus.GaugeValue, last.QueueMessages)
	emit(queueBytesDesc, prometheus.GaugeValue, last.QueueBytes)
	emit(messagesDesc, prometheus.CounterValue, last.Messages)
	emit(bytesDesc, prometheus.CounterValue, last.Bytes)
	for _, b := range last.Brokers {
		if b.NodeID < 0 { // a bootstrap address, which is not known to be a broker yet
			continue
		}
		id := fmt.Sprint(b.NodeID)
		emit(errorsDesc, prometheus.CounterValue, b.Errors, id)
		emit(retriesDesc, prometheus.CounterValue, b.Retries, id)
		up := 0.0
		if b.State == "UP" {
			up = 1
		}
		emit(upDesc, prometheus.GaugeValue, up, id)
		const microseconds = 1e-6
		emit(roundTripDesc, prometheus.GaugeValue, b.RoundTrip.Median*microseconds, id, "50")
		emit(roundTripDesc, prometheus.GaugeValue, b.RoundTrip.P99*microseconds, id, "99")
	}
}
