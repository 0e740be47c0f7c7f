package pgserver_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/pgserver"
)

// quick turns fsync off. Killing processes, unlike a power failure, loses nothing that was written
// to the kernel.
var quick = map[string]string{"fsync": "off"}

// tempDir is used instead of t.TempDir, whose parent is private, because under root the server runs
// as another user.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "merchstore-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, o pgserver.Options) *pgserver.Server {
	t.Helper()
	began := time.Now()
	server, err := pgserver.Start(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		if err := server.Stop(deadline(t)); err != nil {
			t.Error(err)
		}
	})
	return server
}

func execute(t *testing.T, s *pgserver.Server, sql string) {
	t.Helper()
	conn := connect(t, s)
	if _, err := conn.Exec(deadline(t), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	closeConn(t, conn)
}

func value(t *testing.T, s *pgserver.Server, sql string) string {
	t.Helper()
	conn := connect(t, s)
	var got string
	if err := conn.QueryRow(deadline(t), sql).Scan(&got); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	closeConn(t, conn)
	return got
}

func connect(t *testing.T, s *pgserver.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(deadline(t), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func closeConn(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if err := conn.Close(deadline(t)); err != nil {
		t.Error(err)
	}
}

func statOf(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}

func wantError(t *testing.T, err, kind error, text string) {
	t.Helper()
	if err == nil || (kind != nil && !errors.Is(err, kind)) || !strings.Contains(err.Error(), text) {
		t.Fatalf("error is %v, want one with %q", err, text)
	}
	t.Log(err)
}
