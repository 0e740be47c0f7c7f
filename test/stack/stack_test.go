package stack_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/stack"
)

func TestMain(m *testing.M) { os.Exit(database.With(kafka.StopAfter(m), schema.Migrate).Run()) }

func TestWholeStore(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)
	store := stack.Start(t, stack.Options{DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: topic})

	token := store.Account(t, "peter")
	products := list(t, store, token)
	if len(products) == 0 {
		t.Error("a new store has no products")
	}

	// All log messages are in Kafka once the API has stopped.
	if err := store.Process(stack.API).Restart(deadline(t)); err != nil {
		t.Fatal(err)
	}
	records := broker.Records(t, topic, 4)
	for i, text := range []string{
		"REST API: Create User endpoint is being called",
		"REST API: User 'peter' is created",
		"REST API: User peter successfully logged in",
		"REST API: User 'peter' is fetching all products",
	} {
		if !strings.HasSuffix(records[i].Value, " - "+text) {
			t.Errorf("record %d is %q, want … - %s", i, records[i].Value, text)
		}
	}

	// Tokens and the data survive a restart of every process.
	for _, name := range []string{stack.DB, stack.Logging} {
		store.Process(name).Kill()
		if err := store.Process(name).Start(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
	if again := list(t, store, token); len(again) != len(products) {
		t.Errorf("%d products after a restart, %d before", len(again), len(products))
	}
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	store := stack.Start(t, stack.Options{
		DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1),
		Replicas: map[string]int{stack.API: 2, stack.DB: 2},
		Env:      map[string]map[string]string{stack.DB: {"SEED_PRODUCTS": "false"}},
	})
	token := store.Account(t, "peter")
	if found := list(t, store, token); len(found) != 0 {
		t.Errorf("%d products although seeding is off", len(found))
	}
	other := *store
	other.URL = store.Process("api-2").URL()
	if found := list(t, &other, token); len(found) != 0 {
		t.Errorf("%d products in the second API", len(found))
	}
}

func TestStartFailsIfAServiceCannotStart(t *testing.T) {
	t.Parallel()
	_, err := stack.Open(deadline(t), stack.Options{
		DatabaseURL: "postgres://nobody@127.0.0.1:1/none", KafkaBrokers: "127.0.0.1:1",
		Env: map[string]map[string]string{"": {"LOG_LEVEL": "LOUD"}},
	})
	if err == nil || !strings.Contains(err.Error(), "ended while starting: exit status 1") || !strings.Contains(err.Error(), "LOUD") {
		t.Errorf("error is %v", err)
	}
}

func list(t *testing.T, store *stack.Stack, token string) []json.RawMessage {
	t.Helper()
	// After a restart of the DB service the API responds with 503 until it has reconnected.
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for ctx := deadline(t); ; {
		status, answer, err := store.Do(ctx, http.MethodGet, "/api/products", token, nil)
		if err != nil {
			t.Fatal(err)
		}
		var products []json.RawMessage
		if status == http.StatusOK {
			if err := json.Unmarshal(answer, &products); err != nil {
				t.Fatal(err)
			}
			return products
		}
		if status != http.StatusServiceUnavailable {
			t.Fatalf("status %d: %s", status, answer)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("still status %d: %s", status, answer)
		}
	}
}

// deadline bounds the test, which may include a build.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
