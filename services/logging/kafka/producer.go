package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/services/logging/record"
)

// errClosed is what becomes of records that come too late.
var errClosed = errors.New("the producer is closed")

// Producer writes records to the topic.
type Producer struct {
	client   *confluent.Producer
	topic    string
	logs     chan confluent.LogEvent
	log      *slog.Logger
	settings Settings
	fatal    chan error
	paused   func()
	working  sync.WaitGroup
	scratch  sync.Pool // of *confluent.Message: Produce copies what it is given

	statistics statistics

	closing sync.RWMutex // the library's memory is gone once it is closed; nobody may be in it then
	closed  bool
}

// NewProducer makes a producer. It does not wait for Kafka, and needs Close even if nothing was produced. One goroutine
// passes all delivery reports on to receipts; paused is called from there whenever no other report is at hand, so that
// receipts can gather what comes together, as it mostly does.
func NewProducer(s Settings, paused func(), metrics prometheus.Registerer, log *slog.Logger) (*Producer, error) {
	logs := make(chan confluent.LogEvent, 100)
	config := s.ProducerConfig(logs)
	(*config)["statistics.interval.ms"] = int(statisticsEvery.Milliseconds())
	client, err := confluent.NewProducer(config)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka producer: %w", err)
	}
	p := &Producer{client: client, topic: s.Topic, logs: logs, log: log, settings: s, fatal: make(chan error, 1), paused: paused}
	metrics.MustRegister(&p.statistics)
	p.scratch.New = func() any {
		return &confluent.Message{TopicPartition: confluent.TopicPartition{Topic: &p.topic, Partition: confluent.PartitionAny}}
	}
	p.working.Go(p.reports)
	p.working.Go(func() { forward(logs, log) })
	return p, nil
}

// Put hands a record to Kafka and keeps nothing of its memory. If it returns nil the receipt is told later, and must
// not block then; otherwise it is not told at all.
func (p *Producer) Put(r record.Record, receipt record.Receipt) error {
	m := p.scratch.Get().(*confluent.Message) //nolint:forcetypeassert // nothing else is put in
	defer func() { m.Opaque = nil; p.scratch.Put(m) }()
	m.Key, m.Value, m.Opaque = r.Key, r.Value, receipt
	m.Headers = m.Headers[:0]
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, confluent.Header(h))
	}
	p.closing.RLock()
	defer p.closing.RUnlock()
	if p.closed {
		return errClosed
	}
	if err := p.client.Produce(m, nil); err != nil {
		return verdict(err)
	}
	return nil
}

// reports passes delivery reports on until the producer is closed.
func (p *Producer) reports() {
	defer p.paused()
	events := p.client.Events()
	for event := range events {
		switch e := event.(type) {
		case *confluent.Message:
			if receipt, ok := e.Opaque.(record.Receipt); ok {
				receipt.Delivered(verdict(e.TopicPartition.Error))
			}
		case *confluent.Stats:
			if err := p.statistics.take(e.String()); err != nil {
				p.log.Warn("Kafka client", "error", err)
			}
		case confluent.Error:
			if e.IsFatal() {
				p.fail(e)
			} else {
				p.log.Debug("Kafka", "error", e.Error()) // many a second while Kafka is away; Watch says it once
			}
		}
		if len(events) == 0 {
			p.paused()
		}
	}
}

// fail ends the process, see Part. What is under way is given up, so that its writers' streams end now.
func (p *Producer) fail(err error) {
	select {
	case p.fatal <- err:
		if err := p.client.Purge(confluent.PurgeQueue | confluent.PurgeInFlight); err != nil {
			p.log.Error("give up what is under way", "error", err)
		}
	default: // said already
	}
}

// verdict sorts the library's errors: a record that can never be stored, or one that is worth sending again.
func verdict(err error) error {
	if err == nil {
		return nil
	}
	var e confluent.Error
	if errors.As(err, &e) {
		switch e.Code() { //nolint:exhaustive // every other one is worth another try
		case confluent.ErrMsgSizeTooLarge, confluent.ErrRecordListTooLarge:
			return record.Refused("it is larger than Kafka takes")
		case confluent.ErrInvalidRecord, confluent.ErrInvalidMsg, confluent.ErrInvalidTimestamp:
			return record.Refused("Kafka finds it invalid: %s", e.Code())
		}
	}
	return fmt.Errorf("hand to Kafka: %w", err)
}

// Part makes the producer a part of its process, to be stopped after everything that puts records.
//
// A fatal error of the producer (the broker and it no longer agree on what was written, or it was fenced off) cannot be
// mended in place, and is too rare for code that swaps producers under running streams. It ends the process: nothing is
// lost, because what was not acknowledged is still with its writer, who sends it again to whoever takes this place.
func (p *Producer) Part() process.Part {
	stopped := make(chan struct{})
	return process.Part{
		Name: "Kafka producer",
		Serve: func() error {
			select {
			case err := <-p.fatal:
				return fmt.Errorf("produce: %w", err)
			case <-stopped:
				return nil
			}
		},
		Stop: func(ctx context.Context) error {
			defer close(stopped)
			return p.Close(ctx)
		},
	}
}

// Close waits until Kafka has everything, or ctx ends, and lets go of the rest.
func (p *Producer) Close(ctx context.Context) error {
	left := p.client.Len()
	for left > 0 && ctx.Err() == nil {
		left = p.client.Flush(int((100 * time.Millisecond).Milliseconds()))
	}
	p.closing.Lock()
	p.closed = true
	p.closing.Unlock()
	p.client.Close()
	close(p.logs)
	p.working.Wait()
	if left > 0 {
		return fmt.Errorf("%d records were not delivered: %w", left, ctx.Err())
	}
	return nil
}

// forward passes the library's own log on.
func forward(logs <-chan confluent.LogEvent, log *slog.Logger) {
	levels := [...]slog.Level{
		slog.LevelError, slog.LevelError, slog.LevelError, slog.LevelWarn, // emergency to error: of one connection, and retried
		slog.LevelWarn, slog.LevelInfo, slog.LevelInfo, slog.LevelDebug,
	}
	for event := range logs {
		level := levels[min(max(event.Level, 0), len(levels)-1)]
		log.Log(context.Background(), level, "Kafka client: "+event.Message, "tag", event.Tag)
	}
}
