package migration_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/test/database"
)

const (
	sleeping = `SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`
	// ended also requires that the lock is released.
	ended = `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')
		AND NOT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database WHERE datname = current_database() AND locktype = 'advisory')`
)

// line is a connection that can be made to hang.
type line struct {
	net.Conn

	silent atomic.Bool
}

// Read returns nothing once the line is silent.
func (l *line) Read(b []byte) (int, error) {
	for {
		if n, err := l.Conn.Read(b); err != nil || !l.silent.Load() {
			return n, err
		}
	}
}

// openLine opens a session that can dial the server only once.
func openLine(t *testing.T, url string) (*migration.Session, *line) {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	var only *line
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if only != nil {
			return nil, errors.New("there is no way to the server")
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		only = &line{Conn: conn}
		return only, err
	}
	s, err := migration.Open(t.Context(), config, migration.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(only.Close(), s.Close()) })
	return s, only
}

func TestCancelEndsTheStatement(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- migration.Migrate(ctx, url, up(t, "CREATE TABLE a (x int);\nSELECT pg_sleep(600)"))
	}()
	conn := database.Connect(t, url)
	await(t, conn, "the sleep", sleeping)
	cancel()
	if err := <-done; err == nil {
		t.Error("it returned no error")
	}
	await(t, conn, "the end of the sleep", ended)
	if database.Ask[bool](t, conn, `SELECT to_regclass('a') IS NOT NULL`) {
		t.Error("a table is left")
	}
}

// The server sees no more of a killed client than a closed connection.
func TestLostClientEndsTheStatement(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	s, line := openLine(t, url)
	if err := errors.Join(s.Lock(t.Context(), 0), s.Prepare(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Apply(t.Context(), up(t, "SELECT pg_sleep(600)")[0]) }()
	conn := database.Connect(t, url)
	await(t, conn, "the sleep", sleeping)
	if err := line.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("it returned no error")
	}
	await(t, conn, "the end of the sleep", ended)
}

// The server may have stopped answering.
func TestCancelEndsTheWaitForTheLock(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	if err := open(t, url).Lock(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	s, line := openLine(t, url)
	// It asks every 100 ms: this is between two times.
	ctx, cancel := context.WithTimeout(t.Context(), 480*time.Millisecond)
	defer cancel()
	silence := time.AfterFunc(450*time.Millisecond, func() { line.silent.Store(true) })
	defer silence.Stop()
	done := make(chan error, 1)
	go func() { done <- errors.Join(s.Lock(ctx, 0), s.Close()) }()
	select {
	case err := <-done:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ended with: %v", err)
		}
	case <-time.After(limit):
		t.Error("it does not end")
	}
}
