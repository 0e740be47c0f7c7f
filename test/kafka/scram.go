package kafka

import (
	"context"
	"fmt"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// WithUser adds a listener, at [Broker.SASLAddr], that lets in only who knows a password: SASL_PLAINTEXT with SCRAM-SHA-256. The
// other listener stays open to all.
func WithUser(name, password string) Option {
	return func(b *Broker) {
		b.users = append(b.users, fmt.Sprintf("SCRAM-SHA-256=[name=%s,password=%s]", name, password))
		if len(b.users) > 1 {
			return
		}
		for _, key := range []string{"listeners", "advertised.listeners"} {
			b.properties[key] += ",SASL_PLAINTEXT://" + b.SASLAddr()
		}
		b.properties["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT"
		b.properties["sasl.enabled.mechanisms"] = "SCRAM-SHA-256"
		b.properties["listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config"] = "" +
			"org.apache.kafka.common.security.scram.ScramLoginModule required;"
	}
}

// SASLAddr is the bootstrap address, host:port, for users with passwords.
func (b *Broker) SASLAddr() string { return fmt.Sprintf("127.0.0.1:%d", b.saslPort) }

// SetPassword gives a user another password.
func (b *Broker) SetPassword(t testing.TB, name, password string) {
	t.Helper()
	admin, err := b.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
	defer cancel()
	result, err := admin.AlterUserScramCredentials(ctx, []kafka.UserScramCredentialUpsertion{{
		User: name, Password: []byte(password),
		ScramCredentialInfo: kafka.ScramCredentialInfo{Mechanism: kafka.ScramMechanismSHA256, Iterations: 4096},
	}}, nil)
	if err != nil {
		t.Fatalf("setting %s's password: %v", name, err)
	}
	if failed := result.Errors[name]; failed.Code() != kafka.ErrNoError {
		t.Fatalf("setting %s's password: %v", name, failed)
	}
}
