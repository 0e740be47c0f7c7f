package pgserver_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/ports"
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
	server, err := pgserver.Start(deadline(t), withPort(t, o))
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

// withPort returns the options with a free port.
func withPort(t *testing.T, o pgserver.Options) pgserver.Options {
	t.Helper()
	free, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	o.Port = free[0]
	return o
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

func setPassword(t *testing.T, dir, password string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// byHand starts a server with pg_ctl, as the owner of the data, and stops it when the test ends.
func byHand(t *testing.T, dir string) {
	t.Helper()
	data := filepath.Join(dir, "data")
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
	if err != nil || len(programs) == 0 {
		t.Fatalf("pg_ctl: %v", err)
	}
	owner := statOf(t, data)
	run := func(args ...string) {
		ctl := exec.CommandContext(deadline(t), programs[len(programs)-1], append(args, "--pgdata="+data, "-w")...)
		ctl.Dir = dir
		if os.Geteuid() == 0 {
			ctl.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
		}
		if output, err := ctl.CombinedOutput(); err != nil {
			t.Errorf("pg_ctl %s: %v\n%s", args, err, output)
		}
	}
	t.Cleanup(func() { run("stop", "--mode=fast") })
	run("start", "--silent", "--log="+filepath.Join(data, "by-hand.log"), "--options=-c listen_addresses= -c unix_socket_directories="+data)
}
