//go:build e2e

package charts

import (
	"errors"
	"testing"

	"merchstore.io/merchstore/services/logging/kafka"
	"merchstore.io/merchstore/services/logging/record"
	"merchstore.io/merchstore/test/controlplane"
)

// TestKafkaGoesOnWithRenewedCertificates runs the scripts of Kafka's pod, with a volume that a Kafka
// without TLS has written, and certificates that the operator issues. The logging service's producer
// writes.
func TestKafkaGoesOnWithRenewedCertificates(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	c.issueCertificates()
	k := newKafkaPods(t, c, 1)

	k.helmKafka("install", "tls.enabled=false")
	k.start()
	k.write(k.producer(), "without TLS")
	k.stop()

	k.helmKafka("upgrade", "tls.enabled=true")
	k.issue("store-kafka-tls", "tls.crt")
	k.start()
	p := k.producer()
	k.write(p, "with TLS")
	wrong := k.settings()
	wrong.SASLPassword = "wrong"
	accepted := errors.New("accepted")
	if err := kafka.NewReader(wrong, k.log).Read(t.Context(), record.Query{}, func() error { return accepted }, nil); err == nil || errors.Is(err, accepted) {
		t.Errorf("with a wrong password: %v", err)
	}

	k.issue("store-kafka-tls", "tls.crt")
	k.awaitServed()
	k.write(p, "with a renewed certificate")

	k.issue("store-authority", "ca.crt")
	k.awaitServed()
	k.stop() // closes the connections
	k.start()
	k.write(p, "with another authority")
	k.stop()

	k.helmKafka("upgrade", "tls.enabled=false")
	k.start()
	k.wantRecords("without TLS", "with TLS", "with a renewed certificate", "with another authority")
}

// TestSeveralBrokersRestartForRenewedCertificates does the same for three brokers, which restart one
// after another.
func TestSeveralBrokersRestartForRenewedCertificates(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	c.issueCertificates()
	k := newKafkaPods(t, c, 3)
	k.helmKafka("install", "kafka.brokers=3")
	k.issue("store-kafka-tls", "tls.crt")
	k.start()
	p := k.producer()
	k.write(p, "before")
	k.issue("store-kafka-tls", "tls.crt")
	k.restart()
	k.awaitServed()
	k.write(p, "after")
	k.wantRecords("before", "after")
}
