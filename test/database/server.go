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

	"merchstore.io/merchstore/internal/postgres"
)

// StartServer starts a server for one test to stop, kill and restart as it likes, with PostgreSQL's default durability
// unless the settings say otherwise. It has no database but "postgres", and needs no TestMain. When the test ends the
// server is stopped and removed; the end of its log is shown when the test has failed.
func StartServer(t testing.TB, settings map[string]string) *postgres.Server {
	t.Helper()
	folder, server, err := startIn(settings)
	if err != nil {
		t.Fatalf("starting a server for the test: %v", err)
	}
	t.Cleanup(func() { endServer(t, server, folder) })
	return server
}

func endServer(t testing.TB, server *postgres.Server, folder *folder) {
	t.Helper()
	err := stop(server)
	if log, readErr := os.ReadFile(server.LogFile()); readErr == nil && (t.Failed() || err != nil) {
		t.Logf("the end of the server's log:\n%s", log[max(0, len(log)-4<<10):])
	}
	if err := errors.Join(err, folder.remove()); err != nil {
		t.Errorf("ending the test's server: %v", err)
	}
}

func startIn(settings map[string]string) (*folder, *postgres.Server, error) {
	folder, err := makeFolder()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	server, err := postgres.Start(ctx, postgres.Options{Dir: folder.path, Settings: settings})
	if err != nil {
		return nil, nil, errors.Join(err, folder.remove())
	}
	return folder, server, nil
}

func stop(server *postgres.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	server.Resume() // a paused one could not stop
	return server.Stop(ctx)
}

// folder is a temporary one that can be told from those of runs that died without removing theirs: its mark is locked
// by a living process. (t.TempDir would not do: only its owner may enter, and a server started by root is another user.)
type folder struct {
	path string
	mark *os.File
}

const (
	folderPattern = "merchstore-test-postgres-*"
	markName      = "in-use"
)

func makeFolder() (*folder, error) {
	removeAbandoned()
	path, err := os.MkdirTemp("", folderPattern)
	if err != nil {
		return nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	mark, err := os.Create(filepath.Join(path, markName))
	if err != nil {
		return nil, fmt.Errorf("marking a temporary folder: %w", err)
	}
	if err := syscall.Flock(int(mark.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("marking a temporary folder: %w", err)
	}
	return &folder{path: path, mark: mark}, nil
}

func (f *folder) remove() error {
	defer f.mark.Close()
	if err := os.RemoveAll(f.path); err != nil {
		return fmt.Errorf("removing a temporary folder: %w", err)
	}
	return nil
}

// removeAbandoned clears what runs left that panicked, timed out or were killed: their servers end with them, but 40 MB
// each would stay. Failing to is no reason to fail a test.
func removeAbandoned() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPattern))
	for _, path := range paths {
		mark, err := os.Open(filepath.Join(path, markName))
		if err != nil {
			continue // not marked yet, or not ours
		}
		info, err := mark.Stat()
		old := err == nil && time.Since(info.ModTime()) > time.Minute // younger may be about to be locked
		if old && syscall.Flock(int(mark.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = mark.Close()
	}
}
