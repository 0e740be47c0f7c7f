//go:build e2e

package charts

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/logging/kafka"
	"merchstore.io/merchstore/services/logging/record"
	"merchstore.io/merchstore/test/eventually"
)

// settings returns those of the logging service.
func (k *kafkaPods) settings() kafka.Settings {
	k.t.Helper()
	config := new(corev1.ConfigMap)
	k.get(config, "store-logging")
	s := kafka.Settings{
		Brokers: k.pods[0].address, Topic: config.Data["KAFKA_TOPIC"], CreateTopic: true, Partitions: 1, Replication: len(k.pods),
		SecurityProtocol: config.Data["KAFKA_SECURITY_PROTOCOL"], SASLMechanism: config.Data["KAFKA_SASL_MECHANISM"],
	}
	if s.SASLMechanism != "" {
		user := k.secret("store-kafka")
		s.SASLUsername, s.SASLPassword, s.CAFile = user["username"], settings.Secret(user["password"]), k.pods[0].dir+"/tls/ca.crt"
	}
	return s
}

// producer returns a producer of a topic, once it is there.
func (k *kafkaPods) producer() *kafka.Producer {
	k.t.Helper()
	p, err := kafka.NewProducer(k.settings(), func() {}, prometheus.NewRegistry(), k.log)
	if err != nil {
		k.t.Fatal(err)
	}
	monitor := kafka.NewTopicMonitor(p, prometheus.NewRegistry(), k.log)
	component := monitor.Component()
	ended := make(chan error)
	go func() { ended <- component.Serve() }()
	k.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // tests wait for the deliveries they need
		_ = component.Stop(ctx)
		if err := <-ended; err != nil {
			k.t.Error(err)
		}
		_ = p.Close(ctx)
	})
	eventually.NoError(k.t, limit, "the topic", func() error { return monitor.Ready(k.t.Context()) })
	return p
}

type deliveries chan error

func (d deliveries) HandleDelivery(err error) { d <- err }

// write puts a record until Kafka has it.
func (k *kafkaPods) write(p *kafka.Producer, text string) {
	k.t.Helper()
	eventually.NoError(k.t, limit, text, func() error {
		delivered := make(deliveries, 1)
		if err := p.Put(new(record.Encoder).Encode(&record.Message{ID: "1", Service: "A", Level: record.Info, Text: text}), delivered); err != nil {
			return err
		}
		return <-delivered
	})
}

// wantRecords checks the first records of the topic.
func (k *kafkaPods) wantRecords(want ...string) {
	k.t.Helper()
	var texts []string
	ctx, cancel := context.WithTimeout(k.t.Context(), limit)
	defer cancel()
	eventually.NoError(k.t, limit, "the records", func() error {
		texts = nil
		err := kafka.NewReader(k.settings(), k.log).Read(ctx, record.Query{FromBeginning: true}, func() error { return nil },
			func(m record.Message) error {
				if m.Level != record.Unknown { // otherwise it is only a position
					texts = append(texts, m.Text)
				}
				if len(texts) == len(want) {
					cancel()
				}
				return nil
			})
		if len(texts) == len(want) {
			return nil
		}
		return err
	})
	if !slices.Equal(texts, want) {
		k.t.Errorf("Kafka has %q, want %q", texts, want)
	}
}
