package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/ports"
)

// StartServer starts a server for one test, which may stop, kill and restart it. It has
// PostgreSQL's default settings, overridden by settings, and only the database "postgres". It is
// stopped and removed when the test ends. If the test has failed, the end of its log is printed.
// StartServer does not need TestMain.
func StartServer(t testing.TB, settings map[string]string) *pgserver.Server {
	t.Helper()
	dir, server, err := startServer(settings)
	if err != nil {
		t.Fatalf("start server: %v", err)
	}
	t.Cleanup(func() { stopServer(t, server, dir) })
	return server
}

func stopServer(t testing.TB, server *pgserver.Server, dir *tempDir) {
	t.Helper()
	err := stop(server)
	if log, readErr := os.ReadFile(server.LogFile()); readErr == nil && (t.Failed() || err != nil) {
		t.Logf("end of the server's log:\n%s", log[max(0, len(log)-4<<10):])
	}
	if err := errors.Join(err, dir.remove()); err != nil {
		t.Errorf("stop server: %v", err)
	}
}

func startServer(settings map[string]string) (*tempDir, *pgserver.Server, error) {
	dir, err := newTempDir()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server, err := StartIn(ctx, dir.path, settings)
	if err != nil {
		return nil, nil, errors.Join(err, dir.remove())
	}
	return dir, server, nil
}

// StartIn starts a server on a free port, with its files in the folder dir.
func StartIn(ctx context.Context, dir string, settings map[string]string) (*pgserver.Server, error) {
	free, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, err
	}
	return pgserver.Start(ctx, pgserver.Options{Dir: dir, Port: free[0], Settings: settings})
}

func stop(server *pgserver.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server.Resume() // a paused server cannot stop
	return server.Stop(ctx)
}

// tempDir is a temporary folder with a lock file, which is locked while the process runs, so that
// folders left by crashed runs can be removed. t.TempDir is private, but a server started by root
// runs as another user.
type tempDir struct {
	path string
	lock *os.File
}

const (
	tempDirPattern = "merchstore-test-postgres-*"
	lockName       = "in-use"
)

func newTempDir() (*tempDir, error) {
	removeAbandoned()
	path, err := os.MkdirTemp("", tempDirPattern)
	if err != nil {
		return nil, fmt.Errorf("create temporary folder: %w", err)
	}
	lock, err := os.Create(filepath.Join(path, lockName))
	if err != nil {
		return nil, fmt.Errorf("lock temporary folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock temporary folder: %w", err)
	}
	return &tempDir{path: path, lock: lock}, nil
}

func (d *tempDir) remove() error {
	defer d.lock.Close()
	if err := os.RemoveAll(d.path); err != nil {
		return fmt.Errorf("remove temporary folder: %w", err)
	}
	return nil
}

// removeAbandoned removes folders of runs that panicked, timed out or were killed, which have 40 MB
// each. Errors are ignored.
func removeAbandoned() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), tempDirPattern))
	for _, path := range paths {
		lock, err := os.Open(filepath.Join(path, lockName))
		if err != nil {
			continue // not locked yet, or not a tempDir
		}
		info, err := lock.Stat()
		old := err == nil && time.Since(info.ModTime()) > time.Minute // a newer one may not be locked yet
		if old && syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}
