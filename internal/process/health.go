package process

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	pollInterval        = time.Second
	pollIntervalUnready = 200 * time.Millisecond // so that traffic comes soon after the cause has gone
	checkTimeout        = 2 * time.Second
)

// health runs the process's readiness checks and keeps their latest results.
type health struct {
	mu       sync.Mutex
	checks   []*check
	draining bool
	polled   bool
	watchers []func(ready bool)
}

type check struct {
	name string
	run  func(ctx context.Context) error
	err  error
}

// CheckReady adds a readiness check, which runs once a second, and more often while the process is
// not ready. The process is ready only if all checks pass.
func (p *Process) CheckReady(name string, run func(ctx context.Context) error) {
	p.health.checks = append(p.health.checks, &check{name: name, run: run})
}

// OnReadiness registers a function to be called with the readiness after each run of the checks.
// Calls are not concurrent.
func (p *Process) OnReadiness(f func(ready bool)) {
	p.health.watchers = append(p.health.watchers, f)
}

func (h *health) poll(ctx context.Context, log *slog.Logger) {
	for {
		h.runChecks(ctx, log)
		pause := pollInterval
		if ready, _ := h.report(); !ready {
			pause = pollIntervalUnready
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (h *health) runChecks(ctx context.Context, log *slog.Logger) {
	errs := make([]error, len(h.checks))
	var wg sync.WaitGroup
	for i, c := range h.checks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			errs[i] = c.run(ctx)
		})
	}
	wg.Wait()

	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	for i, c := range h.checks {
		switch err := errs[i]; {
		case err != nil && (c.err == nil || !h.polled):
			log.Warn("readiness check failed", "check", c.name, "error", err)
		case err == nil && c.err != nil:
			log.Info("readiness check passed again", "check", c.name)
		}
		c.err = errs[i]
	}
	h.polled = true
	h.notify()
}

func (h *health) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
	h.notify()
}

func (h *health) notify() {
	ready := h.ready()
	for _, watch := range h.watchers {
		watch(ready)
	}
}

// ready reports whether the process may receive traffic. The caller must hold mu.
func (h *health) ready() bool {
	return h.polled && !h.draining && !slices.ContainsFunc(h.checks, func(c *check) bool { return c.err != nil })
}

// report returns the readiness and the state of each check, for /readyz.
func (h *health) report() (ready bool, states map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	states = map[string]string{}
	for _, c := range h.checks {
		states[c.name] = "ok"
		if c.err != nil {
			states[c.name] = "failing"
		}
	}
	if h.draining {
		states["process"] = "draining"
	} else if !h.polled {
		states["process"] = "starting"
	}
	return h.ready(), states
}
