package kafka

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"merchstore.io/merchstore/services/logging/record"
)

// publicAuthorities returns the certificates of the public authorities in PEM format: images have no
// files of them. Those that are trusted for some certificates only are left out.
var publicAuthorities = sync.OnceValue(func() string {
	var all strings.Builder
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			all.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return all.String()
})

// errRenewed is why a client is replaced after its CA file has changed: it reads the file once.
var errRenewed = errors.New("the authority of the brokers' certificates was renewed")

// renewed reports whether the CA file has changed since the last attempt to create a client.
func (p *Producer) renewed() bool {
	ca, err := os.ReadFile(p.settings.CAFile)
	return err == nil && !bytes.Equal(ca, p.ca)
}

// A client that works has five seconds to store its records before it is replaced.
const drainTimeout, drainInterval = 5 * time.Second, 10 * time.Millisecond

// drain waits until a client has stored its records, or for drainTimeout. The caller holds p.mu: Put
// waits, so that the next client's records do not overtake them.
func (p *Producer) drain(client *confluent.Producer) {
	for end := time.Now().Add(drainTimeout); client.Len() > 0 && time.Now().Before(end); {
		select {
		case event := <-client.Events():
			reportLast(event)
		case <-time.After(drainInterval): // Len also counts a report until shortly after it was received
			p.onIdle()
		}
	}
}

// reportLast calls the delivery handler of a record of a client that is being replaced.
func reportLast(event confluent.Event) {
	if m, ok := event.(*confluent.Message); ok {
		err := m.TopicPartition.Error
		if isTooLarge(err) {
			err = errBatchTooLarge
		}
		report(m, err)
	}
}

// report calls the delivery handler of a record.
func report(m *confluent.Message, err error) {
	if handler, ok := m.Opaque.(record.DeliveryHandler); ok {
		handler.HandleDelivery(classify(err))
	}
}
