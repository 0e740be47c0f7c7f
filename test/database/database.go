// Package database gives each test a PostgreSQL database of its own, on a real server that a test binary starts once.
//
// A test binary asks for it in TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(database.With(m, schema.Migrate).Run()) }
//
// and, as With takes and returns what has a Run method, beside others of its kind:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(broker.With(database.With(m, schema.Migrate))) }
//
// The server is started by the first test that wants a database, so a run without such a test costs nothing.
package database

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// limit bounds each single step, far above what it takes on a machine under load.
const limit = 2 * time.Minute

// Migrate brings the database at url to the newest schema.
type Migrate func(ctx context.Context, url string) error

// Runner is what TestMain runs: *testing.M, or a wrapper of it.
type Runner interface{ Run() int }

// With lets the tests of m call New and Empty, and stops and removes the server, when there is one, after the last of
// them, also when tests fail. A nil migrate is for test binaries that only call Empty and StartServer.
func With(m Runner, migrate Migrate) Runner { return &runner{tests: m, migrate: migrate} }

// New returns the URL of a fresh database with the newest schema and no rows of its own. It is dropped when the test ends.
func New(t testing.TB) string {
	t.Helper()
	r := running(t)
	template, err := r.migratedTemplate()
	if err != nil {
		t.Fatalf("preparing the template of test databases: %v", err)
	}
	return create(t, r, " TEMPLATE "+template)
}

// Empty returns the URL of a fresh database with nothing in it. It is dropped when the test ends.
func Empty(t testing.TB) string {
	t.Helper()
	return create(t, running(t), "")
}

var databases atomic.Int64

func create(t testing.TB, r *runner, source string) string {
	t.Helper()
	server, err := r.sharedServer()
	if err != nil {
		t.Fatalf("starting the server of test databases: %v", err)
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := execute(server.URL("postgres"), "CREATE DATABASE "+name+source); err != nil {
		t.Fatalf("creating a test database: %v", err)
	}
	t.Cleanup(func() {
		// FORCE ends the sessions a test has left open: goleak finds those better than a refusal here would.
		if err := execute(server.URL("postgres"), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("dropping a test database: %v", err)
		}
	})
	return server.URL(name)
}

// execute uses a connection of its own, so that nothing stays open between tests.
func execute(url string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}
