package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/services/logging/record"
	"merchstore.io/merchstore/test/certificates"
	broker "merchstore.io/merchstore/test/kafka"
)

// TestRenewedAuthoritiesDisturbNoRecord writes the CA file while pods write records.
func TestRenewedAuthoritiesDisturbNoRecord(t *testing.T) {
	t.Parallel()
	b, s, authority := encryptedBroker(t)
	written := make(lines, 1000)
	p, err := NewProducer(s, func() {}, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(written, nil)))
	if err != nil {
		t.Fatal(err)
	}
	const pods, window = 3, 100
	var stop atomic.Bool
	var writers sync.WaitGroup
	var want [pods][]string
	for pod := range pods {
		writers.Go(func() {
			delivered := make(deliveries, window)
			for i := 0; !stop.Load(); i++ {
				if i >= window {
					if err := <-delivered; err != nil {
						t.Errorf("a record failed: %v", err)
					}
				}
				r := new(record.Encoder).Encode(&record.Message{ID: "1", Service: "A", Pod: fmt.Sprint(pod), Text: fmt.Sprint(i)})
				if err := p.Put(r, delivered); err != nil {
					t.Errorf("a record is not accepted: %v", err)
					return
				}
				want[pod] = append(want[pod], string(r.Value))
			}
		})
	}
	const replaced, kept = "level=INFO msg=\"the Kafka client is replaced\"", "level=ERROR msg=\"the Kafka client is kept"
	_, other := newAuthority(t)
	for _, step := range []struct{ content, want string }{
		{authority + other, replaced},
		{authority + "-----BEGIN CERTIFICATE-----\nbroken\n", kept}, // the first block is accepted by Go
		{"", kept},
		{authority, replaced},
	} {
		if err := os.WriteFile(s.CAFile+".new", []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(s.CAFile+".new", s.CAFile); err != nil {
			t.Fatal(err)
		}
		for line := ""; !strings.Contains(line, step.want); {
			if line = await(t, written); strings.Contains(line, "the Kafka client is") {
				t.Log(line)
			}
		}
	}
	stop.Store(true)
	writers.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	var got [pods][]string
	all := slices.Concat(want[:]...)
	for _, r := range b.Records(t, s.Topic, len(all)) {
		got[r.Key[0]-'0'] = append(got[r.Key[0]-'0'], r.Value)
	}
	for pod := range pods {
		if !slices.Equal(got[pod], want[pod]) {
			t.Errorf("pod %d wrote %d records; Kafka has %d, or not in their order", pod, len(want[pod]), len(got[pod]))
		}
	}
	t.Logf("%d records", len(all))
}

// encryptedBroker starts a broker with a certificate, and returns its authority too.
func encryptedBroker(t *testing.T) (*broker.Broker, Settings, string) {
	t.Helper()
	dir := t.TempDir()
	issuer, authority := newAuthority(t)
	certificate, key, err := issuer.Pair("kafka", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	keystore, ca := filepath.Join(dir, "keystore.pem"), filepath.Join(dir, "ca.crt")
	for name, content := range map[string]string{keystore: string(key) + string(certificate), ca: authority} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var addr string
	b, err := broker.Start(t.Context(), t.TempDir(), broker.WithUser("logging", "x"), broker.WithTLS(keystore, ca),
		broker.WithProperty("listener.name.users.ssl.client.auth", "none"), func(b *broker.Broker) {
			addr = strings.Replace(b.SASLAddr(), "127.0.0.1", "localhost", 1) // as in its certificate
			broker.WithProperty("advertised.listeners", "PLAINTEXT://"+b.Addr()+",USERS://"+addr)(b)
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := settingsFor(addr, b.Topic(t, 1))
	s.SecurityProtocol, s.SASLMechanism, s.SASLUsername, s.SASLPassword, s.CAFile = "SASL_SSL", "SCRAM-SHA-512", "logging", "x", ca
	return b, s, authority
}

func newAuthority(t *testing.T) (authority *certificates.Authority, pem string) {
	t.Helper()
	authority, err := certificates.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return authority, string(authority.PEM())
}

// lines receive what a log handler writes.
type lines chan string

func (l lines) Write(line []byte) (int, error) { l <- string(line); return len(line), nil }
