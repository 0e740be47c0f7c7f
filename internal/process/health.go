package process

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	pollEvery        = time.Second
	pollEveryUnready = 200 * time.Millisecond // so that traffic comes soon after the reason has gone
	checkTimeout     = 2 * time.Second
)

// health keeps what the process's checks said last.
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

// CheckReady adds something that must work for the process to take traffic. It is asked once a second, and more often while it fails.
func (p *Process) CheckReady(name string, run func(ctx context.Context) error) {
	p.health.checks = append(p.health.checks, &check{name: name, run: run})
}

// OnReadiness calls f with every answer to "may take traffic?", from one goroutine at a time.
func (p *Process) OnReadiness(f func(ready bool)) {
	p.health.watchers = append(p.health.watchers, f)
}

func (h *health) poll(ctx context.Context, log *slog.Logger) {
	for {
		h.ask(ctx, log)
		pause := pollEvery
		if ready, _ := h.report(); !ready {
			pause = pollEveryUnready
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (h *health) ask(ctx context.Context, log *slog.Logger) {
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
			log.Warn("check fails", "check", c.name, "error", err)
		case err == nil && c.err != nil:
			log.Info("check passes again", "check", c.name)
		}
		c.err = errs[i]
	}
	h.polled = true
	h.tell()
}

func (h *health) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
	h.tell()
}

func (h *health) tell() {
	ready := h.ready()
	for _, watch := range h.watchers {
		watch(ready)
	}
}

// ready needs mu.
func (h *health) ready() bool {
	return h.polled && !h.draining && !slices.ContainsFunc(h.checks, func(c *check) bool { return c.err != nil })
}

// report is what /readyz shows.
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
