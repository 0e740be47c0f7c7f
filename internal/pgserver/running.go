package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// checkNotRunning returns an error if the server named in postmaster.pid is running. It waits for a
// server that is shutting down, for instance because its parent was killed. It removes the file of
// a killed server, because PostgreSQL would not start if the process id has been reused by another
// program.
func (s *Server) checkNotRunning(ctx context.Context) error {
	file := filepath.Join(s.data, "postmaster.pid")
	for {
		content, err := os.ReadFile(file) //nolint:gosec // chosen by the caller
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read postmaster.pid: %w", err)
		}
		lines := strings.Split(string(content), "\n")
		pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
		if err != nil || !servesData(pid, s.data) {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove postmaster.pid: %w", err)
			}
			return nil
		}
		stopping := len(lines) > 7 && strings.TrimSpace(lines[7]) == "stopping"
		if !stopping || !sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("the folder %s is %w by the PostgreSQL server with process id %d", s.dir, ErrRunning, pid)
		}
	}
}

// servesData reports whether a process is a postmaster on the data folder, which is its working
// directory then. In doubt it returns true, because two servers on one folder would corrupt it.
func servesData(pid int, data string) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || !alive(pid) || !strings.HasPrefix(string(name), "post") { // "postgres", or "postmaster" in old versions
		return false
	}
	workingDir, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	dataDir, err := os.Stat(data)
	return err != nil || os.SameFile(workingDir, dataDir)
}

// lock locks the folder against concurrent starts. The kernel releases the lock if this process
// ends.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir) //nolint:gosec // chosen by the caller
	if err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(errors.Join(err, f.Close()), syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the folder %s is %w by another start", dir, ErrRunning)
		}
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	return func() {
		// Closing alone does not unlock while a child that is being started shares the file between
		// fork and exec.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		_ = f.Close()
	}, nil
}
