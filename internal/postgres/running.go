package postgres

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

// refuseSecondServer looks for the server that postmaster.pid speaks of, and waits for one that is about to end, as after
// our last run was killed. A file left by a killed server is removed: when its process id meanwhile belongs to something
// else, PostgreSQL itself would take that for the old server and not start.
func (s *Server) refuseSecondServer(ctx context.Context) error {
	file := filepath.Join(s.data, "postmaster.pid")
	for {
		content, err := os.ReadFile(file) //nolint:gosec // the folder is the caller's choice
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking for a server that runs already: %w", err)
		}
		lines := strings.Split(string(content), "\n")
		pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
		if err != nil || !servesData(pid, s.data) {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing what a killed server left: %w", err)
			}
			return nil
		}
		stopping := len(lines) > 7 && strings.TrimSpace(lines[7]) == "stopping"
		if !stopping || !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("the folder %s is %w: a PostgreSQL server runs on it as process %d", s.dir, ErrRunning, pid)
		}
	}
}

// servesData tells whether a process is a postmaster on the folder, which it makes its working directory. When in doubt
// it says yes: two servers on one folder destroy it.
func servesData(pid int, data string) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || !alive(pid) || !strings.HasPrefix(string(name), "post") { // postgres, or postmaster of old
		return false
	}
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	ours, err := os.Stat(data)
	return err != nil || os.SameFile(theirs, ours)
}

// lock keeps a second start off the folder while this one prepares it; the kernel lets go of it when we end.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir) //nolint:gosec // the folder is the caller's choice
	if err != nil {
		return nil, fmt.Errorf("locking its folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(errors.Join(err, f.Close()), syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the folder %s is %w: another start is under way", dir, ErrRunning)
		}
		return nil, fmt.Errorf("locking its folder: %w", err)
	}
	return func() {
		// Closing alone would not unlock while a child, which shares the file from its fork to its exec, is being started.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		_ = f.Close()
	}, nil
}
