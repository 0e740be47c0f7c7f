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
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/program"
)

// Server is a server on a free port of 127.0.0.1 that requires a password. Its data does not survive
// a restart.
type Server struct {
	program.Program

	port     int
	password string
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
	path, err := find("valkey-server", "redis-server")
	if err != nil {
		return nil, err
	}
	free, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("find free port: %w", err)
	}
	configFile := filepath.Join(dir, "valkey.conf")
	s := &Server{port: free[0], password: rand.Text(), Program: program.Program{
		Name: path, LogFile: filepath.Join(dir, "valkey.log"),
		Command: subprocess.Command{Path: path, Args: []string{configFile}, Dir: dir},
	}}
	s.Ready = s.authenticate
	config := fmt.Sprintf("bind 127.0.0.1\nport %d\nrequirepass %s\nsave \"\"\nappendonly no\ndaemonize no\ndir %s\n", s.port, s.password, dir)
	if err := os.WriteFile(configFile, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration of %s: %w", path, err)
	}
	return s, s.Start(ctx)
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

// authenticate checks that the server accepts its password.
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
