// Package process is what every process of the store has in common: settings, logs, an operations port with metrics and
// health, and an orderly end.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"merchstore.io/merchstore/internal/settings"
)

// Settings are part of every process's settings.
type Settings struct {
	OpsAddr         string        `env:"OPS_ADDR" envDefault:":9090" help:"address of /metrics, /healthz and /readyz"`
	LogLevel        slog.Level    `env:"LOG_LEVEL" envDefault:"INFO" help:"DEBUG, INFO, WARN or ERROR; /loglevel on the operations port switches it"`
	DrainDelay      time.Duration `env:"DRAIN_DELAY" envDefault:"0s" help:"after SIGTERM, time to go on serving with readiness off, so that balancers notice"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"25s" help:"time for requests and log messages to be finished after that"`
	Profiling       bool          `env:"PROFILING" envDefault:"false" help:"serve /debug/pprof on the operations port"`
	MeasureCalls    bool          `env:"MEASURE_CALLS" envDefault:"true" help:"count and time each request and call; without it only what costs nothing is measured"`
}

// Command is a process: its name, its settings and what it does.
type Command[S any] struct {
	Name  string
	About string
	// Run does the work until ctx is done; it ends with Process.Serve.
	Run func(ctx context.Context, s S, p *Process) error
	// Common picks the shared part out of the settings.
	Common func(s S) Settings
	// Tasks are subcommands, of one word or several, that do one thing and end.
	Tasks map[string]func(ctx context.Context, s S, p *Process) error
}

// Main runs a command as the whole process and gives its exit code.
func Main[S any](c Command[S]) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := c.main(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil { //nolint:forbidigo // this is the one place
		fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
		return 1
	}
	return 0
}

func (c Command[S]) main(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	run := c.Run
	if len(args) > 0 {
		switch task, ok := c.Tasks[strings.Join(args, " ")]; {
		case args[0] == "--help" || args[0] == "-h" || args[0] == "help":
			return c.help(stdout)
		case ok:
			run = task
		default:
			return fmt.Errorf("unknown arguments %q; try --help", args)
		}
	}
	s, err := settings.Parse[S](environ)
	if err != nil {
		return err
	}
	limitMemory()
	logs := &logWriter{w: stderr}
	defer logs.Flush()
	p := New(c.Name, c.Common(s), logs)
	p.Log = slog.New(promptHandler{p.Log.Handler(), logs.Flush})
	p.Log.Info("starting", slog.Group("settings", settings.Attrs(s)...))
	if err := run(ctx, s, p); err != nil {
		return err
	}
	p.Log.Info("stopped")
	return nil
}

// Collecting garbage when the heap has doubled is right for large heaps. The store's processes live on a few megabytes:
// letting that grow fivefold spares most of the collector's work, and the limit keeps the total small.
const (
	gcPercent   = 400
	memoryLimit = 128 << 20
)

// limitMemory leaves alone what GOGC and GOMEMLIMIT say, which the runtime has read by itself.
func limitMemory() {
	if _, set := os.LookupEnv("GOGC"); !set { //nolint:forbidigo // the runtime's own settings, not ours
		debug.SetGCPercent(gcPercent)
	}
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set { //nolint:forbidigo // the same
		debug.SetMemoryLimit(memoryLimit)
	}
}

func (c Command[S]) help(w io.Writer) error {
	if err := settings.Help[S](w, c.Name, c.About); err != nil {
		return fmt.Errorf("print help: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tasks)) {
		fmt.Fprintf(w, "\n%s %s does just that and ends.\n", c.Name, name)
	}
	return nil
}

// Process is what Run works with.
type Process struct {
	Log     *slog.Logger
	Metrics *prometheus.Registry

	settings Settings
	level    *slog.LevelVar
	health   health
}

// New makes a Process that logs to logs. Main does it for a whole process; tests may want one of their own.
func New(name string, s Settings, logs io.Writer) *Process {
	level := new(slog.LevelVar)
	level.Set(s.LogLevel)
	p := &Process{
		Log:     slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: level})).With("process", name),
		Metrics: prometheus.NewRegistry(), settings: s, level: level,
	}
	p.Metrics.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(name), &p.health,
	)
	return p
}

// CallMetrics is where to register what is measured with each request or call: Metrics, or nil if that is switched off.
func (p *Process) CallMetrics() prometheus.Registerer {
	if !p.settings.MeasureCalls {
		return nil
	}
	return p.Metrics
}

// Part is something that runs in the process and is stopped with it.
type Part struct {
	Name string
	// Serve runs until Stop is called. It may be nil.
	Serve func() error
	// Stop ends Serve, finishing what is under way for as long as ctx allows. It may be nil.
	Stop func(ctx context.Context) error
}

// Serve runs the parts until ctx is done or one of them fails. Then it turns readiness off, waits for balancers to
// notice, and stops the parts in the order given, all under one deadline.
func (p *Process) Serve(ctx context.Context, parts ...Part) error {
	ops, err := p.opsServer(ctx)
	if err != nil {
		return errors.Join(err, p.stop(parts)) //nolint:contextcheck // ctx is what ends; stopping has a deadline of its own
	}
	parts = append(parts, ops)

	failed := make(chan error, len(parts))
	var running sync.WaitGroup
	for _, part := range parts {
		if part.Serve == nil {
			continue
		}
		running.Go(func() {
			if err := part.Serve(); err != nil {
				failed <- fmt.Errorf("%s: %w", part.Name, err)
			}
		})
	}
	polling, stopPolling := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() { p.health.poll(polling, p.Log) })

	var cause error
	select {
	case <-ctx.Done():
		p.Log.Info("stopping", "drain_delay", p.settings.DrainDelay.String())
		p.health.drain()
		select {
		case <-time.After(p.settings.DrainDelay):
		case cause = <-failed:
		}
	case cause = <-failed:
		p.health.drain()
	}
	stopPolling()
	err = errors.Join(cause, p.stop(parts)) //nolint:contextcheck // as above
	running.Wait()
	return err
}

func (p *Process) stop(parts []Part) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.settings.ShutdownTimeout)
	defer cancel()
	var errs []error
	for _, part := range parts {
		if part.Stop == nil {
			continue
		}
		if err := part.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", part.Name, err))
		}
	}
	return errors.Join(errs...)
}
