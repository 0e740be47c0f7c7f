package kafka

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// statisticsEvery is how often the Kafka library says how it fares.
const statisticsEvery = 5 * time.Second

// statistics shows what the library said last, as metrics. See STATISTICS.md of librdkafka for its words.
type statistics struct {
	mu   sync.Mutex
	last *said
}

// said is the part of the library's statistics that is shown. Times there are in microseconds.
type said struct {
	QueueMessages float64         `json:"msg_cnt"`
	QueueBytes    float64         `json:"msg_size"`
	Messages      float64         `json:"txmsgs"`
	Bytes         float64         `json:"txmsg_bytes"`
	Brokers       map[string]node `json:"brokers"`
}

type node struct {
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
	queueMessagesDesc = prometheus.NewDesc("merchstore_kafka_producer_queue_messages", "Records in the Kafka library that Kafka does not have yet.", nil, nil)
	queueBytesDesc    = prometheus.NewDesc("merchstore_kafka_producer_queue_bytes", "Size of those records.", nil, nil)
	messagesDesc      = prometheus.NewDesc("merchstore_kafka_producer_messages_total", "Records sent to brokers.", nil, nil)
	bytesDesc         = prometheus.NewDesc("merchstore_kafka_producer_bytes_total", "Size of the records sent to brokers.", nil, nil)
	errorsDesc        = prometheus.NewDesc("merchstore_kafka_producer_request_errors_total", "Requests to a broker that failed.", []string{"broker"}, nil)
	retriesDesc       = prometheus.NewDesc("merchstore_kafka_producer_request_retries_total", "Requests to a broker that were made again.", []string{"broker"}, nil)
	upDesc            = prometheus.NewDesc("merchstore_kafka_broker_up", "1 while a broker is connected, else 0.", []string{"broker"}, nil)
	roundTripDesc     = prometheus.NewDesc("merchstore_kafka_broker_round_trip_seconds", "Time a broker took to answer, over the last seconds.", []string{"broker", "percentile"}, nil)
)

// take reads what the library says.
func (s *statistics) take(text string) error {
	now := new(said)
	if err := json.Unmarshal([]byte(text), now); err != nil {
		return fmt.Errorf("read statistics: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
	return nil
}

// Describe implements prometheus.Collector.
func (s *statistics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueMessagesDesc, queueBytesDesc, messagesDesc, bytesDesc, errorsDesc, retriesDesc, upDesc, roundTripDesc} {
		descs <- d
	}
}

// Collect implements prometheus.Collector. There is nothing to show in the first seconds.
func (s *statistics) Collect(metrics chan<- prometheus.Metric) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last == nil {
		return
	}
	show := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	show(queueMessagesDesc, prometheus.GaugeValue, last.QueueMessages)
	show(queueBytesDesc, prometheus.GaugeValue, last.QueueBytes)
	show(messagesDesc, prometheus.CounterValue, last.Messages)
	show(bytesDesc, prometheus.CounterValue, last.Bytes)
	for _, b := range last.Brokers {
		if b.NodeID < 0 { // the address it was told, before it knew which broker that is
			continue
		}
		id := fmt.Sprint(b.NodeID)
		show(errorsDesc, prometheus.CounterValue, b.Errors, id)
		show(retriesDesc, prometheus.CounterValue, b.Retries, id)
		up := 0.0
		if b.State == "UP" {
			up = 1
		}
		show(upDesc, prometheus.GaugeValue, up, id)
		const microseconds = 1e-6
		show(roundTripDesc, prometheus.GaugeValue, b.RoundTrip.Median*microseconds, id, "50")
		show(roundTripDesc, prometheus.GaugeValue, b.RoundTrip.P99*microseconds, id, "99")
	}
}
