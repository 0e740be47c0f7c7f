// Package database provides each test with a PostgreSQL database of its own, on a real server
// shared by the tests of a binary. TestMain must use With, which can be combined with other shared
// resources:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(database.With(kafka.StopAfter(m), schema.Migrate)) }
//
// The first test that uses a database starts the server.
package database

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/test/shared"
)

// timeout bounds each step. It is generous, for machines under load.
const timeout = 2 * time.Minute

// Migrate migrates the database at url to the newest schema.
type Migrate func(ctx context.Context, url string) error

// With returns a runner for TestMain that lets the tests of m call New and Empty, and stops the
// server after them. migrate may be nil if New is not used.
func With(m shared.Runner, migrate Migrate) shared.Runner {
	return sharedServer.With(m, func(dir string) (*testServer, error) { return startShared(dir, migrate) },
		func(s *testServer) error { return stop(s.Server) })
}

// New returns the URL of a new database with the newest schema. It is dropped when the test ends.
func New(t testing.TB) string {
	t.Helper()
	server := sharedServer.Get(t)
	template, err := server.template()
	if err != nil {
		t.Fatalf("create template of test databases: %v", err)
	}
	return create(t, server, " TEMPLATE "+template)
}

// Empty returns the URL of a new, empty database. It is dropped when the test ends.
func Empty(t testing.TB) string {
	t.Helper()
	return create(t, sharedServer.Get(t), "")
}

var databases atomic.Int64

func create(t testing.TB, server *testServer, options string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := execute(server.URL("postgres"), "CREATE DATABASE "+name+options); err != nil {
		t.Fatalf("create test database: %v", err)
	}
	t.Cleanup(func() {
		// FORCE terminates sessions that the test has left open, which goleak reports better than
		// an error here.
		if err := execute(server.URL("postgres"), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop test database: %v", err)
		}
	})
	return server.URL(name)
}

// execute executes statements on a connection of its own, so that none stays open between tests.
func execute(url string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
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
