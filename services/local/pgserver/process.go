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

	"merchstore.io/merchstore/internal/subprocess"
)

// lockTimeout bounds the wait for the processes of a previous server, which may be shutting down
// because its parent was killed.
const lockTimeout = 10 * time.Second

// lock locks the folder. Each process of the server inherits the lock, and the kernel releases it
// with the last of them.
func lock(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.Open(dir) //nolint:gosec // chosen by the caller
	if err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
			if errors.Is(err, syscall.EWOULDBLOCK) {
				continue
			}
			return nil, fmt.Errorf("lock folder: %w", errors.Join(err, f.Close()))
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("the folder %s is %w", dir, ErrRunning), f.Close())
		}
	}
}

// removeStalePID removes the file of a killed server, because PostgreSQL would not start if its
// process id has been reused. It returns an error if the process is a server on this data, which was
// started by hand if it does not hold the lock.
func (s *Server) removeStalePID() error {
	content, err := os.ReadFile(s.path("data/postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read postmaster.pid: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, _ := strconv.Atoi(line)
	data, dataErr := os.Stat(s.path("data"))
	workingDir, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid)) // a server's working directory is its data folder
	if dataErr == nil && err == nil && os.SameFile(data, workingDir) {
		return fmt.Errorf("the folder %s is %w, with process id %d", s.options.Dir, ErrRunning, pid)
	}
	if err := os.Remove(s.path("data/postmaster.pid")); err != nil {
		return fmt.Errorf("remove postmaster.pid: %w", err)
	}
	return nil
}

// newLog creates the log, and keeps the previous one.
func (s *Server) newLog() (*os.File, error) {
	if err := os.Rename(s.LogFile(), s.LogFile()+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep previous log: %w", err)
	}
	log, err := os.Create(s.LogFile())
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	return log, nil
}

// run starts a program of PostgreSQL in the server's folder as the unprivileged user, and without
// the environment of this process, because variables such as PGDATA and PGOPTIONS would change its
// behavior.
func (s *Server) run(program string, lock, output *os.File, args ...string) (*subprocess.Process, error) {
	p, err := subprocess.Start(subprocess.Command{
		Path:       filepath.Join(s.bin, program),
		Args:       args,
		Dir:        s.options.Dir,
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"},
		Output:     output,
		Inherited:  []*os.File{lock},
		Credential: s.credential,
		StopSignal: syscall.SIGINT, // PostgreSQL's fast shutdown
		LastSignal: syscall.SIGINT,
	})
	if errors.Is(err, fs.ErrPermission) && s.credential != nil {
		return nil, fmt.Errorf("PostgreSQL cannot run as root, and the user with id %d, who runs it instead, has no access to the folder %s: %w",
			s.credential.Uid, s.options.Dir, err)
	}
	return p, err
}

// Kill kills all processes of the server, to simulate a crash, and waits until the postmaster has
// ended. Killing the postmaster alone is not enough, because a busy session notices that only after
// its query.
func (s *Server) Kill() {
	s.Pause()
	s.signal(syscall.SIGKILL)
	<-s.Done()
}

// Pause suspends all processes of the server with SIGSTOP, to simulate a hanging machine:
// connections stay open, but nothing responds until Resume.
func (s *Server) Pause() {
	_ = s.current().Signal(syscall.SIGSTOP) // no new children while they are listed
	s.signal(syscall.SIGSTOP)
}

// Resume continues a paused server.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// signal sends a signal to the postmaster and its children. It does nothing if the server has
// ended.
func (s *Server) signal(sig syscall.Signal) {
	p := s.current()
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.PID()))
	if p.Signal(sig) != nil {
		return
	}
	for child := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, sig)
		}
	}
}
