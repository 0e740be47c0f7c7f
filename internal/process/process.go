// Package process provides what all processes of the store have in common: settings, logging, an
// operations port with metrics and health, and graceful shutdown.
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
	_ "golang.org/x/crypto/x509roots/fallback" // images have no files of certificate authorities

	"merchstore.io/merchstore/internal/settings"
)

// Settings are the settings of every process.
type Settings struct {
	OpsAddr         string        `env:"OPS_ADDR" envDefault:":9090" help:"address of /metrics, /healthz and /readyz"`
	LogLevel        slog.Level    `env:"LOG_LEVEL" envDefault:"INFO" help:"DEBUG, INFO, WARN or ERROR; can be changed at /loglevel on the operations port"`
	DrainDelay      time.Duration `env:"DRAIN_DELAY" envDefault:"0s" help:"time to continue serving as not ready after SIGTERM, so that load balancers notice"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"25s" min:"1ms" help:"time after that to finish requests and log messages"`
	Profiling       bool          `env:"PROFILING" envDefault:"false" help:"serve /debug/pprof on the operations port"`
	MeasureCalls    bool          `env:"MEASURE_CALLS" envDefault:"true" help:"measure each request, call and SQL statement; other metrics are always on"`
}

// Command describes a process with settings of type S.
type Command[S any] struct {
	Name  string
	About string
	// Run runs the process until ctx is done, usually by calling Process.Serve.
	Run func(ctx context.Context, s S, p *Process) error
	// Common returns the common part of the settings.
	Common func(s S) Settings
	// Tasks are subcommands that run once, by their words separated by spaces.
	Tasks map[string]func(ctx context.Context, s S, p *Process) error
}

// Main runs a command and returns the exit code of the process.
func Main[S any](c Command[S]) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := c.main(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil { //nolint:forbidigo // the only place that reads the environment
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

// The processes have small heaps of a few megabytes. Letting the heap grow fivefold between
// collections, instead of twofold, saves most of the work of the garbage collector, and the limit
// bounds the memory used.
const (
	gcPercent   = 400
	memoryLimit = 128 << 20
)

// limitMemory configures the garbage collector, unless GOGC and GOMEMLIMIT do.
func limitMemory() {
	if _, set := os.LookupEnv("GOGC"); !set { //nolint:forbidigo // a setting of the Go runtime
		debug.SetGCPercent(gcPercent)
	}
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set { //nolint:forbidigo // a setting of the Go runtime
		debug.SetMemoryLimit(memoryLimit)
	}
}

func (c Command[S]) help(w io.Writer) error {
	if err := settings.Help[S](w, c.Name, c.About); err != nil {
		return fmt.Errorf("print help: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tasks)) {
		fmt.Fprintf(w, "\n%s %s runs this task and exits.\n", c.Name, name)
	}
	return nil
}

// Process provides logging, metrics and health to Run.
type Process struct {
	Log     *slog.Logger
	Metrics *prometheus.Registry

	settings   Settings
	level      *slog.LevelVar
	health     health
	components []Component
}

// New returns a Process that logs to logs. Main calls it for commands; tests may call it directly.
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

// CallMetrics returns the registry for metrics of single requests, calls and statements: Metrics,
// or nil if MeasureCalls is off.
func (p *Process) CallMetrics() prometheus.Registerer {
	if !p.settings.MeasureCalls {
		return nil
	}
	return p.Metrics
}

// Component is a part of a process that is stopped with it.
type Component struct {
	Name string
	// Serve runs the component until Stop is called. It may be nil.
	Serve func() error
	// Stop makes Serve return, and finishes work in flight until ctx is done. It may be nil.
	Stop func(ctx context.Context) error
}

// Add registers components as they are made. They are stopped in reverse order, since each may use
// those that were added before it.
func (p *Process) Add(components ...Component) { p.components = append(p.components, components...) }

// Close stops the components, unless Serve has done so. Command.Run defers it, so that what was
// made is stopped if a later step fails.
func (p *Process) Close() {
	if err := p.stop(); err != nil {
		p.Log.Error("stop after a failed start", "error", err)
	}
}

// Serve runs the components until ctx is done or one of them fails. Then the process becomes
// unready, waits for load balancers to notice, and stops the components, all within
// ShutdownTimeout.
func (p *Process) Serve(ctx context.Context) error {
	ops, err := p.opsServer(ctx)
	if err != nil {
		return errors.Join(err, p.stop()) //nolint:contextcheck // stopping starts when ctx is done and has its own deadline
	}
	p.components = slices.Insert(p.components, 0, ops)

	failed := make(chan error, len(p.components))
	var running sync.WaitGroup
	for _, c := range p.components {
		if c.Serve == nil {
			continue
		}
		running.Go(func() {
			if err := c.Serve(); err != nil {
				failed <- fmt.Errorf("%s: %w", c.Name, err)
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
	err = errors.Join(cause, p.stop()) //nolint:contextcheck // as above
	running.Wait()
	return err
}

// stop stops the components that were not stopped yet.
func (p *Process) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.settings.ShutdownTimeout)
	defer cancel()
	components := p.components
	p.components = nil
	var errs []error
	for _, c := range slices.Backward(components) {
		if c.Stop == nil {
			continue
		}
		if err := c.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}
