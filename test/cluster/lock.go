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

// errRuns means that another process holds the lock: the cluster's supervisor, or a running
// command.
var errRuns = errors.New("the cluster runs")

func lockFile() string { return filepath.Join(home, "lock") }

// lock locks the cluster's folder until the last process that has the file open ends. It returns
// errRuns if the folder is locked.
func lock() (*os.File, error) {
	for {
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, fmt.Errorf("create the cluster's folder: %w", err)
		}
		f, err := os.OpenFile(lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the cluster's lock: %w", err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && isStill(f, lockFile()) {
			return f, f.Truncate(0) // the previous holder has ended
		}
		if err := errors.Join(err, f.Close()); errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errRuns
		} else if err != nil {
			return nil, fmt.Errorf("lock the cluster's folder: %w", err)
		}
	}
}

// isStill reports whether a path is still that of an open file.
func isStill(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}

// holder returns the process id of the supervisor that holds the lock, or 0 if there is none or it
// is being started.
func holder() int {
	content, err := os.ReadFile(lockFile())
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return pid
}
