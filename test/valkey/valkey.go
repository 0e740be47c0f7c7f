// Package valkey runs a real Valkey or Redis server, whichever is installed, for tests and
// benchmarks, without persistence:
//
//	func TestHits(t *testing.T) {
//		server := valkey.Start(t)
//		… server.URL() …
//	}
//
// Programs that are not tests call [Open] and [Server.Stop].
package valkey

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/ports"
)

// Starting and stopping take a few milliseconds.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
)

// tailLimit is the number of bytes of the log included in an error.
const tailLimit = 4 << 10

// Server is a server in a child process, which ends with this one. It listens on a free port of
// 127.0.0.1 and requires a password. Stop, Kill and Restart must not be called concurrently with
// any other method.
type Server struct {
	dir      string
	program  string
	port     int
	password string
	process  *subprocess.Process
}

// Start starts a server that is stopped when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Open starts a server and waits until it responds. Its configuration and log are in dir.
func Open(ctx context.Context, dir string) (*Server, error) {
	program, err := find("valkey-server", "redis-server")
	if err != nil {
		return nil, err
	}
	free, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("find free port: %w", err)
	}
	s := &Server{dir: dir, program: program, port: free[0], password: rand.Text()}
	config := fmt.Sprintf("bind 127.0.0.1\nport %d\nrequirepass %s\nsave \"\"\nappendonly no\ndaemonize no\ndir %s\n", s.port, s.password, dir)
	if err := os.WriteFile(s.configFile(), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration of %s: %w", program, err)
	}
	if err := s.launch(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func find(programs ...string) (path string, err error) {
	for _, name := range programs {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %s is installed: %w", strings.Join(programs, ", "), err)
}

// Addr returns the address, host:port. A restart does not change it.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// URL returns the URL, including the password.
func (s *Server) URL() string { return fmt.Sprintf("redis://:%s@%s/0", s.password, s.Addr()) }

// Stop sends SIGTERM and waits until the server has ended. Stopping a stopped server does nothing.
func (s *Server) Stop() error {
	if err := s.Resume(); err != nil { // a paused server does not handle signals
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.process.Stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w\n%s", s.program, err, s.logTail())
	}
	return nil
}

// Kill sends SIGKILL, to simulate a crash, and waits until the server has ended.
func (s *Server) Kill() { s.process.Kill() }

// Pause suspends the server with SIGSTOP, to simulate a hanging machine: connections stay open but
// nothing responds.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume continues a paused server.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) error {
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to %s: %w", signal, s.program, err)
	}
	return nil
}

// Restart stops the server if it is running, and starts it. Its data is lost.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.launch(ctx)
}

func (s *Server) configFile() string { return filepath.Join(s.dir, "valkey.conf") }

func (s *Server) logFile() string { return filepath.Join(s.dir, "valkey.log") }

func (s *Server) logTail() string { return subprocess.Tail(s.logFile(), tailLimit) }

func (s *Server) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", s.program, err)
	}
	defer log.Close()
	if s.process, err = subprocess.Start(subprocess.Command{Path: s.program, Args: []string{s.configFile()}, Dir: s.dir, Output: log}); err != nil {
		return fmt.Errorf("start %s: %w", s.program, err)
	}
	if err := s.awaitReady(ctx); err != nil {
		s.Kill()
		return fmt.Errorf("start %s: %w\n%s", s.program, err, s.logTail())
	}
	return nil
}

// awaitReady waits until the server accepts its password.
func (s *Server) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := s.authenticate(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-s.process.Done():
			return fmt.Errorf("the server ended: %w", errors.Join(s.process.Err(), err))
		case <-ctx.Done():
			return fmt.Errorf("the server does not respond: %w", errors.Join(ctx.Err(), err))
		}
	}
}

func (s *Server) authenticate(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\n", s.password); err != nil {
		return err
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if reply != "+OK\r\n" {
		return fmt.Errorf("unexpected reply %q", reply)
	}
	return nil
}
