package kafka_test

import (
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"merchstore.io/merchstore/test/kafka"
)

func TestUserNeedsThePassword(t *testing.T) {
	t.Parallel()
	const id = "another-test-cluster-0"
	broker, err := kafka.Start(t.Context(), t.TempDir(), kafka.WithUser("alice", "first"), kafka.WithUser("bob", "x"), kafka.WithClusterID(id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Stop(); err != nil {
			t.Error(err)
		}
	})
	in := func(password string) bool {
		admin, err := confluent.NewAdminClient(&confluent.ConfigMap{
			"bootstrap.servers": broker.SASLAddr(), "security.protocol": "sasl_plaintext", "sasl.mechanism": "SCRAM-SHA-256",
			"sasl.username": "alice", "sasl.password": password, "log_level": 0,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		const patience = 5 * time.Second
		_, err = admin.GetMetadata(nil, true, int(patience.Milliseconds()))
		return err == nil
	}
	if !in("first") || in("second") {
		t.Error("the first password is rejected, or another is accepted")
	}
	broker.SetPassword(t, "alice", "second")
	if !in("second") || in("first") {
		t.Error("the second password is rejected, or the first is still accepted")
	}
}
