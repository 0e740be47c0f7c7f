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

	"merchstore.io/merchstore/internal/subprocess"
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

// start starts the program, built with the race detector. Its output may be read once it has
// exited.
func start(t *testing.T, args []string, env ...string) (process *subprocess.Process, output *bytes.Buffer) {
	t.Helper()
	programs, err := stack.Build(t.Context(), "loadgen")
	if err != nil {
		t.Fatal(err)
	}
	output = new(bytes.Buffer)
	process, err = subprocess.Start(subprocess.Command{
		Path: filepath.Join(programs, "loadgen"), Args: args, Output: output,
		Env: append(os.Environ(), env...), //nolint:forbidigo // PATH and the like
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Kill()
		<-process.Done()
		if t.Failed() {
			t.Logf("output:\n%s", output)
		}
	})
	return process, output
}

func TestLoadgenOrdersAndCleansUp(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	store := stack.Start(t, stack.Options{DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1)})
	admin := store.Account(t, "peter")
	free, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(free[0])
	loadgen, output := start(t, nil, "STORE_URL="+store.URL, "USERS=3", "RATE=40", "OPS_ADDR="+address)

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := loadgen.AwaitReady(ctx, subprocess.Responds("http://"+address+"/readyz")); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for orders := 0.0; orders == 0; {
		read, err := metrics.Read(ctx, "http://"+address)
		if err != nil {
			t.Fatal(err)
		}
		orders = read.Sum("merchstore_loadgen_requests_total", map[string]string{"action": "order", "outcome": "success"})
		if observed := read.Sum("merchstore_loadgen_request_duration_seconds", map[string]string{"action": "order"}); observed < orders {
			t.Errorf("%v orders, durations of %v", orders, observed)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("no order was placed")
		}
	}
	if err := loadgen.Stop(ctx); err != nil { // SIGTERM
		t.Fatal(err)
	}
	if loadgen.Err() != nil || !strings.Contains(output.String(), `"users stopped"`) || strings.Contains(output.String(), "DATA RACE") {
		t.Errorf("it exited with %v", loadgen.Err())
	}
	status, products, err := store.Do(ctx, http.MethodGet, "/api/v1/products", admin, nil)
	if err != nil || status != http.StatusOK || strings.Contains(string(products), "merchant") {
		t.Errorf("products afterwards, with status %d and %v: %s", status, err, products)
	}
}

func TestSettingsOutOfBoundsAreRejected(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"USERS=0":                "USERS must be between 1 and 200",
		"USERS=1000":             "USERS must be between 1 and 200",
		"RATE=0":                 "RATE must be greater than 0 and at most 200",
		"RATE=NaN":               "RATE must be greater than 0 and at most 200",
		"RATE=1000":              "RATE must be greater than 0 and at most 200",
		"STORE_URL=store.shop":   "is not like http://127.0.0.1:8081",
		"STORE_URL=file:///shop": "is not like http://127.0.0.1:8081",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			loadgen, output := start(t, nil, setting, "OPS_ADDR=127.0.0.1:0")
			select {
			case <-loadgen.Done():
			case <-time.After(limit):
				t.Fatal("it does not exit")
			}
			if loadgen.Err() == nil || !strings.Contains(output.String(), want) {
				t.Errorf("it exited with %v, without %q", loadgen.Err(), want)
			}
		})
	}
}

func TestHelpListsSettingsAndFaults(t *testing.T) {
	t.Parallel()
	loadgen, output := start(t, []string{"--help"})
	<-loadgen.Done()
	for _, want := range []string{
		"STORE_URL", "USERS", "FAULT_DURATION", "FAULT_CONTEXT", "kubectl config get-contexts",
		"loadgen inject slow-database", "loadgen inject kafka-unavailable", "loadgen inject kill-pods", "loadgen recover",
	} {
		if !strings.Contains(output.String(), want) {
			t.Errorf("--help does not contain %q", want)
		}
	}
}
