// Package valkey runs a real Valkey or Redis server, whichever this machine has, for tests and benchmarks. It keeps nothing on disk:
//
//	func TestHits(t *testing.T) {
//		server := valkey.Start(t)
//		… server.URL() …
//	}
//
// A program without tests calls [Open] and [Server.Stop].
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

	"merchstore.io/merchstore/internal/child"
	"merchstore.io/merchstore/test/ports"
)

// startTimeout and stopTimeout are far above the few milliseconds that either takes.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
)

// tailLimit is how much of the log goes into an error, in bytes.
const tailLimit = 4 << 10

// Server is a server in a child process, which dies with this one. It listens on a free port of 127.0.0.1 and wants a password. While
// one of Stop, Kill and Restart runs, no other method may be called; the rest may be called at the same time.
type Server struct {
	dir      string
	program  string
	port     int
	password string
	process  *child.Process
}

// Start starts a server that ends with the test.
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

// Open starts a server, and returns when it answers. Its settings and its log are in dir.
func Open(ctx context.Context, dir string) (*Server, error) {
	program, err := find("valkey-server", "redis-server")
	if err != nil {
		return nil, err
	}
	free, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("looking for a free port: %w", err)
	}
	s := &Server{dir: dir, program: program, port: free[0], password: rand.Text()}
	config := fmt.Sprintf("bind 127.0.0.1\nport %d\nrequirepass %s\nsave \"\"\nappendonly no\ndaemonize no\ndir %s\n", s.port, s.password, dir)
	if err := os.WriteFile(s.configFile(), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("writing the settings of %s: %w", program, err)
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

// Addr is host:port. It stays the same over a restart.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// URL says where it is, with the password.
func (s *Server) URL() string { return fmt.Sprintf("redis://:%s@%s/0", s.password, s.Addr()) }

// Stop ends the server in an orderly way. Stopping a stopped one does nothing.
func (s *Server) Stop() error {
	if err := s.Resume(); err != nil { // a paused one has to go on to hear of it
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.process.Stop(ctx); err != nil {
		return fmt.Errorf("stopping %s: %w\n%s", s.program, err, s.logTail())
	}
	return nil
}

// Kill ends the server at once (SIGKILL), as a crash would, and waits until it is gone.
func (s *Server) Kill() { s.process.Kill() }

// Pause freezes the server (SIGSTOP): connections stay open and nothing answers, as on a machine that hangs.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on (SIGCONT).
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) error {
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to %s: %w", signal, s.program, err)
	}
	return nil
}

// Restart starts a server that was stopped or killed, and stops one that runs before that. It comes back empty.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.launch(ctx)
}

func (s *Server) configFile() string { return filepath.Join(s.dir, "valkey.conf") }

func (s *Server) logFile() string { return filepath.Join(s.dir, "valkey.log") }

func (s *Server) logTail() string { return child.Tail(s.logFile(), tailLimit) }

func (s *Server) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", s.program, err)
	}
	defer log.Close()
	if s.process, err = child.Start(child.Command{Path: s.program, Args: []string{s.configFile()}, Dir: s.dir, Output: log}); err != nil {
		return fmt.Errorf("starting %s: %w", s.program, err)
	}
	if err := s.awaitAnswer(ctx); err != nil {
		s.Kill()
		return fmt.Errorf("starting %s: %w\n%s", s.program, err, s.logTail())
	}
	return nil
}

// awaitAnswer returns when the server answers to its password.
func (s *Server) awaitAnswer(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-s.process.Done():
			return fmt.Errorf("it ended by itself: %w", errors.Join(s.process.Err(), err))
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", errors.Join(ctx.Err(), err))
		}
	}
}

func (s *Server) ask(ctx context.Context) error {
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
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "+OK\r\n" {
		return fmt.Errorf("it says %q", answer)
	}
	return nil
}
