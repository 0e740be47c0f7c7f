package main_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"merchstore.io/merchstore/internal/child"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/stack"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(database.With(kafka.StopAfter(m), schema.Migrate))
}

const limit = 3 * time.Minute

// start runs the program, built with the race detector. What it says is complete once it has ended.
func start(t *testing.T, args []string, env ...string) (process *child.Process, said *bytes.Buffer) {
	t.Helper()
	programs, err := stack.Build(t.Context(), "shoppers")
	if err != nil {
		t.Fatal(err)
	}
	said = new(bytes.Buffer)
	process, err = child.Start(child.Command{
		Path: filepath.Join(programs, "shoppers"), Args: args, Output: said,
		Env: append(os.Environ(), env...), //nolint:forbidigo // PATH and the like
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Kill()
		<-process.Done()
		if t.Failed() {
			t.Logf("it said:\n%s", said)
		}
	})
	return process, said
}

func TestAsAProcess(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	store := stack.Start(t, stack.Options{DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1)})
	admin := store.Account(t, "peter")
	free, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(free[0])
	shoppers, said := start(t, nil, "STORE_URL="+store.URL, "SHOPPERS=3", "RATE=40", "OPS_ADDR="+address)

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := shoppers.AwaitReady(ctx, "http://"+address+"/readyz"); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for orders := 0.0; orders == 0; {
		read, err := metrics.Read(ctx, "http://"+address)
		if err != nil {
			t.Fatal(err)
		}
		orders = read.Sum("merchstore_shoppers_actions_total", map[string]string{"action": "order", "outcome": "done"})
		if took := read.Sum("merchstore_shoppers_answer_duration_seconds", map[string]string{"action": "order"}); took < orders {
			t.Errorf("%v orders, of which %v took time", orders, took)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("nobody orders")
		}
	}
	if err := shoppers.Stop(ctx); err != nil { // SIGTERM
		t.Fatal(err)
	}
	if shoppers.Err() != nil || !strings.Contains(said.String(), `"the shoppers have left"`) || strings.Contains(said.String(), "DATA RACE") {
		t.Errorf("it ended with %v", shoppers.Err())
	}
	status, products, err := store.Do(ctx, http.MethodGet, "/api/v1/products", admin, nil)
	if err != nil || status != http.StatusOK || strings.Contains(string(products), "merchant") {
		t.Errorf("afterwards the shelf holds, with status %d and %v: %s", status, err, products)
	}
}

func TestTheLoadStaysWithinBounds(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"SHOPPERS=0":             "SHOPPERS must be between 1 and 200",
		"SHOPPERS=1000":          "SHOPPERS must be between 1 and 200",
		"RATE=0":                 "RATE must be greater than 0 and at most 200",
		"RATE=NaN":               "RATE must be greater than 0 and at most 200",
		"RATE=1000":              "RATE must be greater than 0 and at most 200",
		"STORE_URL=store.shop":   "is not like http://127.0.0.1:8081",
		"STORE_URL=file:///shop": "is not like http://127.0.0.1:8081",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			shoppers, said := start(t, nil, setting, "OPS_ADDR=127.0.0.1:0")
			select {
			case <-shoppers.Done():
			case <-time.After(limit):
				t.Fatal("it goes on")
			}
			if shoppers.Err() == nil || !strings.Contains(said.String(), want) {
				t.Errorf("it ended with %v, without %q", shoppers.Err(), want)
			}
		})
	}
}

func TestHelpNamesTheFaults(t *testing.T) {
	t.Parallel()
	shoppers, said := start(t, []string{"--help"})
	<-shoppers.Done()
	for _, want := range []string{"STORE_URL", "FAULT_FOR", "FAULT_CONTEXT", "kubectl config get-contexts", "shoppers cause slow-database", "shoppers cause kafka-away", "shoppers cause kill-pods", "shoppers mend"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("--help does not say %q", want)
		}
	}
}
