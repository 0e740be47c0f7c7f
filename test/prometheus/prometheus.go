// Package prometheus runs a real Prometheus for tests:
//
//	func TestRates(t *testing.T) {
//		server := prometheus.Start(t, "scrape_configs: …")
//		value, _, _, err := server.API().Query(t.Context(), "up", time.Now())
//		…
//	}
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/ports"
)

// Starting and stopping take about a second.
const (
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second
)

// tailLimit is the number of bytes of the log included in an error.
const tailLimit = 4 << 10

// Server is a Prometheus in a child process, which ends with this one. It listens on a free port of
// 127.0.0.1.
type Server struct {
	dir     string
	port    int
	process *subprocess.Process
	api     v1.API
	idle    *http.Transport
}

// Start starts a Prometheus with the given configuration file content. It is stopped when the test
// ends.
func Start(t testing.TB, config string) *Server {
	t.Helper()
	s, err := open(t.Context(), t.TempDir(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("end of the log of Prometheus:\n%s", s.logTail())
		}
	})
	return s
}

// open starts a Prometheus and waits until it is ready. Its data and log are in dir.
func open(ctx context.Context, dir, config string) (*Server, error) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, fmt.Errorf("find Prometheus: %w", err)
	}
	free, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("find free port: %w", err)
	}
	s := &Server{dir: dir, port: free[0], idle: new(http.Transport)}
	client, err := api.NewClient(api.Config{Address: s.URL(), RoundTripper: s.idle})
	if err != nil {
		return nil, fmt.Errorf("create client of Prometheus: %w", err)
	}
	s.api = v1.NewAPI(client)
	if err := os.WriteFile(s.configFile(), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration of Prometheus: %w", err)
	}
	if err := s.launch(ctx, program); err != nil {
		return nil, err
	}
	return s, nil
}

// URL returns the URL of the server.
func (s *Server) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) }

// API returns a client of its HTTP API.
func (s *Server) API() v1.API { return s.api }

func (s *Server) configFile() string { return filepath.Join(s.dir, "prometheus.yaml") }

func (s *Server) logFile() string { return filepath.Join(s.dir, "prometheus.log") }

func (s *Server) logTail() string { return subprocess.Tail(s.logFile(), tailLimit) }

func (s *Server) launch(ctx context.Context, program string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	log, err := os.Create(s.logFile())
	if err != nil {
		return fmt.Errorf("open log of Prometheus: %w", err)
	}
	defer log.Close()
	s.process, err = subprocess.Start(subprocess.Command{Path: program, Dir: s.dir, Output: log, Args: []string{
		"--config.file=" + s.configFile(), "--storage.tsdb.path=" + filepath.Join(s.dir, "data"),
		fmt.Sprintf("--web.listen-address=127.0.0.1:%d", s.port), "--enable-feature=exemplar-storage", "--log.level=warn",
	}})
	if err != nil {
		return fmt.Errorf("start Prometheus: %w", err)
	}
	if err := s.process.AwaitReady(ctx, s.URL()+"/-/ready"); err != nil {
		s.process.Kill()
		return fmt.Errorf("start Prometheus: %w\n%s", err, s.logTail())
	}
	return nil
}

// stop sends SIGTERM and waits until the server has ended.
func (s *Server) stop() error {
	s.idle.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := errors.Join(s.process.Stop(ctx), s.process.Err()); err != nil {
		return fmt.Errorf("stop Prometheus: %w\n%s", err, s.logTail())
	}
	return nil
}
