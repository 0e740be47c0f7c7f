//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// errRuns says that another process has the lock: the cluster's supervisor, or a command that is at work.
var errRuns = errors.New("the cluster runs")

func lockFile() string { return filepath.Join(home, "lock") }

// lock makes the cluster's folder ours, until the last process that has the file open ends, or returns errRuns.
func lock() (*os.File, error) {
	for {
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, fmt.Errorf("make the cluster's folder: %w", err)
		}
		f, err := os.OpenFile(lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the cluster's lock: %w", err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && isStill(f, lockFile()) {
			return f, f.Truncate(0) // who had it before is gone
		}
		if err := errors.Join(err, f.Close()); errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errRuns
		} else if err != nil {
			return nil, fmt.Errorf("lock the cluster's folder: %w", err)
		}
	}
}

// isStill says whether a path leads to an open file, and not to a newer one or to none.
func isStill(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}

// holder is the process id of the supervisor that has the lock, or 0 when there is none or it is just being started.
func holder() int {
	content, err := os.ReadFile(lockFile())
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return pid
}
