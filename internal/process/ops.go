package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// opsServer listens at once, so that a taken port is found before any work is taken.
func (p *Process) opsServer(ctx context.Context) (Part, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Metrics, promhttp.HandlerOpts{
		EnableOpenMetrics: true, // the format that has exemplars
		ErrorHandling:     promhttp.ContinueOnError,
		ErrorLog:          slog.NewLogLogger(p.Log.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"process": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready, states := p.health.report()
		if ready {
			writeJSON(w, http.StatusOK, states)
		} else {
			writeJSON(w, http.StatusServiceUnavailable, states)
		}
	})
	mux.HandleFunc("GET /loglevel", p.showLogLevel)
	mux.HandleFunc("PUT /loglevel", p.setLogLevel)
	if p.settings.Profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	l, err := Listen(ctx, p.settings.OpsAddr)
	if err != nil {
		return Part{}, err
	}
	return HTTP("operations port", l, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}), nil
}

func (p *Process) showLogLevel(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"level": p.level.Level().String()})
}

// setLogLevel takes DEBUG, INFO, WARN or ERROR as the whole body. It holds until the process ends.
func (p *Process) setLogLevel(w http.ResponseWriter, r *http.Request) {
	const longest = 64
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longest))
	var level slog.Level
	if err == nil {
		err = level.UnmarshalText(bytes.TrimSpace(body))
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "send DEBUG, INFO, WARN or ERROR, and nothing else"})
		return
	}
	before := p.level.Level()
	p.level.Set(level)
	p.Log.Warn("log level switched", "from", before.String(), "to", level.String())
	p.showLogLevel(w, r)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		slog.Debug("answer on the operations port", "error", err) // the asker has gone
	}
}

// Listen takes a TCP port, or says plainly that it cannot be had.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// HTTP makes a Part of an HTTP server.
func HTTP(name string, l net.Listener, server *http.Server) Part {
	return Part{
		Name: name,
		Serve: func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve HTTP: %w", err)
			}
			return nil
		},
		Stop: func(ctx context.Context) error {
			if err := server.Shutdown(ctx); err != nil {
				return errors.Join(fmt.Errorf("finish requests: %w", err), server.Close())
			}
			return nil
		},
	}
}
