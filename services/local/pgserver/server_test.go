package pgserver_test

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"merchstore.io/merchstore/services/local/pgserver"
)

func TestDataSurvivesKillAndRestart(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, pgserver.Options{Dir: dir, Settings: quick})
	url := s.URL("postgres")
	execute(t, s, "CREATE TABLE kept AS SELECT 'stopped'::text AS word")

	if err := s.Restart(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if s.URL("postgres") != url {
		t.Error("the URL has changed after a restart")
	}
	execute(t, s, "UPDATE kept SET word = 'killed'")

	ended := s.Done()
	s.Kill()
	select {
	case <-ended:
	default:
		t.Error("Done is not closed after Kill")
	}
	if s.Err() == nil {
		t.Error("no error after Kill")
	}
	if err := s.Restart(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if got := value(t, s, "SELECT word FROM kept"); got != "killed" {
		t.Errorf("after recovery the value is %q", got)
	}
	if s.Err() != nil {
		t.Errorf("error while it runs: %v", s.Err())
	}

	if err := s.Stop(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if s.Err() != nil {
		t.Errorf("error after Stop: %v", s.Err())
	}
	again := start(t, pgserver.Options{Dir: dir, Settings: quick})
	if got := value(t, again, "SELECT word FROM kept"); got != "killed" {
		t.Errorf("in a new server the value is %q", got)
	}
}

func TestKillEndsBusySessions(t *testing.T) {
	t.Parallel()
	s := start(t, pgserver.Options{Dir: tempDir(t), Settings: quick})
	conn := connect(t, s)
	failed := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(600)")
		failed <- err
	}()
	s.Kill()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("the session ended without an error")
		}
	case <-deadline(t).Done():
		t.Error("the session is still running")
	}
	if err := s.Restart(deadline(t)); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultsAreDurableAndPrivate(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	const password = "p@ss / w%rd"
	setPassword(t, dir, password)
	s := start(t, pgserver.Options{Dir: dir})
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on",
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "server_encoding": "UTF8",
		"password_encryption": "scram-sha-256",
	} {
		if got := value(t, s, "SHOW "+setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	if got := value(t, s, "SELECT lower('ÄÉЖ')"); got != "äéж" {
		t.Errorf("lower returned %q", got)
	}
	if got := value(t, s, "SELECT count(*)::text FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'"); got != "0" {
		t.Errorf("%s rules allow connections without a password", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "data.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("data.new remains in the folder: %v", err)
	}
	owner := statOf(t, filepath.Join(dir, "data")).Uid
	if os.Geteuid() == 0 && owner == 0 {
		t.Error("the data belongs to root")
	}

	if err := s.Stop(deadline(t)); err != nil {
		t.Fatal(err)
	}
	setPassword(t, dir, "other")
	_, err := pgserver.Start(deadline(t), withPort(t, pgserver.Options{Dir: dir}))
	wantError(t, err, nil, "created with another password")
	if strings.Contains(err.Error(), password) {
		t.Error("the error contains the password")
	}
}

// TestServerEndsWithItsParent runs this test binary again as a parent that starts a server and is
// then killed.
func TestServerEndsWithItsParent(t *testing.T) {
	if dir := flag.Arg(0); dir != "" {
		if _, err := pgserver.Start(context.Background(), withPort(t, pgserver.Options{Dir: dir, Settings: quick})); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stdout.WriteString("ready\n"); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	t.Parallel()
	dir := tempDir(t)
	starter := exec.CommandContext(deadline(t), os.Args[0], "-test.run=^TestServerEndsWithItsParent$", dir)
	output, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := output.Read(line); err != nil || string(line) != "ready\n" {
		t.Fatalf("the parent printed %q, %v", line, err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = pgserver.Start(soon, withPort(t, pgserver.Options{Dir: dir}))
	wantError(t, err, pgserver.ErrRunning, dir+" is in use by another server")
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = starter.Wait()
	start(t, pgserver.Options{Dir: dir, Settings: quick}) // waits until the old server has ended
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(deadline(t), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr)
	_, err = pgserver.Start(deadline(t), pgserver.Options{Dir: tempDir(t), Port: port.Port, Settings: quick})
	wantError(t, err, syscall.EADDRINUSE, port.String())
}
