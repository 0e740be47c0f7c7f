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
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// opsServer returns the server of the operations port. It listens at once, so that an address in
// use is reported before the process does any work.
func (p *Process) opsServer(ctx context.Context) (Component, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Metrics, promhttp.HandlerOpts{
		Registry:          p.Metrics,
		EnableOpenMetrics: true, // required for exemplars
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
		return Component{}, err
	}
	return HTTP("operations port", l, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}), nil
}

var levels = map[string]slog.Level{"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn, "ERROR": slog.LevelError}

func (p *Process) showLogLevel(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"level": p.level.Level().String()})
}

// localAddresses are not all of 127.0.0.0/8: Istio's sidecar delivers calls of others from 127.0.0.6.
var localAddresses = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// setLogLevel sets the log level to the request's body: DEBUG, INFO, WARN or ERROR. Callers must be on
// this host or in this pod; a port-forward is.
func (p *Process) setLogLevel(w http.ResponseWriter, r *http.Request) {
	const maxBody, readTimeout = 64, 5 * time.Second
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !slices.Contains(localAddresses, from.Addr().Unmap()) {
		writeJSON(w, http.StatusForbidden, map[string]string{"error": "the log level can be changed from this host only"})
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout)) // an endless body would delay shutdown
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	level, known := levels[strings.ToUpper(string(bytes.TrimSpace(body)))]
	if err != nil || !known {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "the body must be DEBUG, INFO, WARN or ERROR"})
		return
	}
	// Logged as an error, so that the change is visible at every level.
	p.Log.Error("log level changed", "from", p.level.Level().String(), "to", level.String())
	p.level.Set(level)
	p.showLogLevel(w, r)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		slog.Debug("write response on the operations port", "error", err) // the client has disconnected
	}
}

// Listen listens on a TCP address.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// HTTP returns a component that serves HTTP on l.
func HTTP(name string, l net.Listener, server *http.Server) Component {
	return Component{
		Name: name,
		Serve: func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve HTTP: %w", err)
			}
			return nil
		},
		Stop: func(ctx context.Context) error {
			defer l.Close() // the server closes it only after Serve
			if err := server.Shutdown(ctx); err != nil {
				return errors.Join(fmt.Errorf("finish requests: %w", err), server.Close())
			}
			return nil
		},
	}
}
