package shared

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Folder is a temporary folder with a lock file, which is locked while the process runs, so that
// folders left by crashed runs can be removed. It is not private to its owner's test, as t.TempDir
// is, because a PostgreSQL server started by root runs as another user.
type Folder struct {
	Path string
	lock *os.File
}

const (
	folderPattern = "merchstore-test-*"
	lockName      = "in-use"
)

// NewFolder creates a folder, and removes those of crashed runs.
func NewFolder() (*Folder, error) {
	removeAbandoned()
	path, err := os.MkdirTemp("", folderPattern)
	if err != nil {
		return nil, fmt.Errorf("create temporary folder: %w", err)
	}
	lock, err := os.Create(filepath.Join(path, lockName))
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("lock temporary folder: %w", err)
	}
	return &Folder{Path: path, lock: lock}, nil
}

// Remove removes the folder.
func (f *Folder) Remove() error {
	if err := errors.Join(os.RemoveAll(f.Path), f.lock.Close()); err != nil {
		return fmt.Errorf("remove temporary folder: %w", err)
	}
	return nil
}

// removeAbandoned removes folders of runs that panicked, timed out or were killed, which have up to
// 40 MB each. Errors are ignored.
func removeAbandoned() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPattern))
	for _, path := range paths {
		lock, err := os.Open(filepath.Join(path, lockName))
		if err != nil {
			continue // not locked yet, or not a Folder
		}
		info, err := lock.Stat()
		old := err == nil && time.Since(info.ModTime()) > time.Minute // a newer one may not be locked yet
		if old && syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}
