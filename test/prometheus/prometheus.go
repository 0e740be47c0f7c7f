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

	"merchstore.io/merchstore/internal/child"
	"merchstore.io/merchstore/test/ports"
)

// startTimeout and stopTimeout are far above the second that either takes.
const (
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second
)

// tailLimit is how much of the log goes into an error, in bytes.
const tailLimit = 4 << 10

// Server is a Prometheus in a child process, which dies with this one. It listens on a free port of 127.0.0.1.
type Server struct {
	dir     string
	port    int
	process *child.Process
	api     v1.API
	idle    *http.Transport
}

// Start starts a Prometheus with these settings, the text of its configuration file, that ends with the test.
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
			t.Logf("the end of the log of Prometheus:\n%s", s.logTail())
		}
	})
	return s
}

// open starts one, and returns when it is ready. Its data and its log are in dir.
func open(ctx context.Context, dir, config string) (*Server, error) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, fmt.Errorf("looking for Prometheus: %w", err)
	}
	free, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("looking for a free port: %w", err)
	}
	s := &Server{dir: dir, port: free[0], idle: new(http.Transport)}
	client, err := api.NewClient(api.Config{Address: s.URL(), RoundTripper: s.idle})
	if err != nil {
		return nil, fmt.Errorf("making a client of Prometheus: %w", err)
	}
	s.api = v1.NewAPI(client)
	if err := os.WriteFile(s.configFile(), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("writing the settings of Prometheus: %w", err)
	}
	if err := s.launch(ctx, program); err != nil {
		return nil, err
	}
	return s, nil
}

// URL is where it is.
func (s *Server) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) }

// API asks it.
func (s *Server) API() v1.API { return s.api }

func (s *Server) configFile() string { return filepath.Join(s.dir, "prometheus.yaml") }

func (s *Server) logFile() string { return filepath.Join(s.dir, "prometheus.log") }

func (s *Server) logTail() string { return child.Tail(s.logFile(), tailLimit) }

func (s *Server) launch(ctx context.Context, program string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	log, err := os.Create(s.logFile())
	if err != nil {
		return fmt.Errorf("opening the log of Prometheus: %w", err)
	}
	defer log.Close()
	s.process, err = child.Start(child.Command{Path: program, Dir: s.dir, Output: log, Args: []string{
		"--config.file=" + s.configFile(), "--storage.tsdb.path=" + filepath.Join(s.dir, "data"),
		fmt.Sprintf("--web.listen-address=127.0.0.1:%d", s.port), "--enable-feature=exemplar-storage", "--log.level=warn",
	}})
	if err != nil {
		return fmt.Errorf("starting Prometheus: %w", err)
	}
	if err := s.process.AwaitReady(ctx, s.URL()+"/-/ready"); err != nil {
		s.process.Kill()
		return fmt.Errorf("starting Prometheus: %w\n%s", err, s.logTail())
	}
	return nil
}

// stop ends it in an orderly way.
func (s *Server) stop() error {
	s.idle.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := errors.Join(s.process.Stop(ctx), s.process.Err()); err != nil {
		return fmt.Errorf("stopping Prometheus: %w\n%s", err, s.logTail())
	}
	return nil
}
