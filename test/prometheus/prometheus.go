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
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/program"
)

// Server is a Prometheus on a free port of 127.0.0.1.
type Server struct {
	program.Program

	url  string
	api  v1.API
	idle *http.Transport
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
		s.idle.CloseIdleConnections()
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	return s
}

// open starts a Prometheus and waits until it is ready. Its data and log are in dir.
func open(ctx context.Context, dir, config string) (*Server, error) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, fmt.Errorf("find Prometheus: %w", err)
	}
	free, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("find free port: %w", err)
	}
	address, configFile := fmt.Sprintf("127.0.0.1:%d", free[0]), filepath.Join(dir, "prometheus.yaml")
	s := &Server{url: "http://" + address, idle: new(http.Transport), Program: program.Program{
		Name: "Prometheus", LogFile: filepath.Join(dir, "prometheus.log"), Ready: subprocess.Responds("http://" + address + "/-/ready"),
		Command: subprocess.Command{Path: path, Dir: dir, Args: []string{
			"--config.file=" + configFile, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
			"--web.listen-address=" + address, "--enable-feature=exemplar-storage", "--log.level=warn",
		}},
	}}
	client, err := api.NewClient(api.Config{Address: s.url, RoundTripper: s.idle})
	if err != nil {
		return nil, fmt.Errorf("create client of Prometheus: %w", err)
	}
	s.api = v1.NewAPI(client)
	if err := os.WriteFile(configFile, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration of Prometheus: %w", err)
	}
	return s, s.Start(ctx)
}

// URL returns the URL of the server.
func (s *Server) URL() string { return s.url }

// API returns a client of its HTTP API.
func (s *Server) API() v1.API { return s.api }
