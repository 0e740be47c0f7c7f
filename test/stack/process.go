package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"merchstore.io/merchstore/internal/subprocess"
)

// tailLimit is the number of bytes of a log that are printed.
const tailLimit = 8 << 10

// Process is the process of a service. Only Addr, URL, OpsURL and LogFile are safe for concurrent
// use.
type Process struct {
	name    string
	path    string
	addr    string
	ops     string
	logFile string
	env     []string

	child   *subprocess.Process
	stopped bool // stopped or killed by this package
}

// environment returns the environment of a process, which includes that of this process.
func environment(o Options, p *Process, keys, db, logging string) []string {
	settings := map[string]string{
		"OPS_ADDR": p.ops, "HTTP_ADDR": p.addr, "GRPC_ADDR": p.addr,
		"JWT_KEYS": keys, "DATABASE_URL": o.DatabaseURL,
		"KAFKA_BROKERS": o.KafkaBrokers, "KAFKA_TOPIC": "log-channel", "KAFKA_CREATE_TOPIC": "true",
		"DB_SERVICE_ADDR": db, "LOGGING_SERVICE_ADDR": logging,
		"LOGIN_RATE_PER_ACCOUNT": "0", "LOGIN_RATE_PER_ADDRESS": "0", "SIGNUP_RATE_PER_ADDRESS": "0",
		"POD_NAME": p.name,
	}
	if o.Topic != "" {
		settings["KAFKA_TOPIC"] = o.Topic
	}
	env := os.Environ() //nolint:forbidigo // for PATH; relevant settings are all set below
	for _, extra := range []map[string]string{settings, o.Env[""], o.Env[filepath.Base(p.path)]} {
		for name, value := range extra {
			env = append(env, name+"="+value) // the last one wins
		}
	}
	return env
}

// Addr returns the address of the REST or gRPC service.
func (p *Process) Addr() string { return p.addr }

// URL returns the URL of a REST service.
func (p *Process) URL() string { return "http://" + p.addr }

// OpsURL returns the URL of /metrics, /healthz and /readyz.
func (p *Process) OpsURL() string { return "http://" + p.ops }

// LogFile returns the path of the log, to which restarts append.
func (p *Process) LogFile() string { return p.logFile }

// PID returns the process id.
func (p *Process) PID() int { return p.child.PID() }

// Done returns a channel that is closed when the process has ended. Start replaces it by a new one.
func (p *Process) Done() <-chan struct{} { return p.child.Done() }

// Log returns the end of the log.
func (p *Process) Log() string {
	return fmt.Sprintf("end of the log of %s:\n%s", p.name, subprocess.Tail(p.logFile, tailLimit))
}

// Kill sends SIGKILL and waits until the process has ended.
func (p *Process) Kill() {
	if p.child != nil {
		p.stopped = true
		p.child.Kill()
	}
}

// Pause suspends the process with SIGSTOP: connections stay open but nothing responds.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume continues a paused process.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	if err := p.child.Signal(s); err != nil {
		return fmt.Errorf("send %v to %s: %w", s, p.name, err)
	}
	return nil
}

// Stop sends SIGTERM and waits until the process has ended. It returns an error if the process did
// not end in time or exited with an error.
func (p *Process) Stop(ctx context.Context) error {
	p.stopped = true
	if err := p.child.Stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w\n%s", p.name, err, p.Log())
	}
	if err := p.child.Err(); err != nil {
		return fmt.Errorf("%s ended with %w\n%s", p.name, err, p.Log())
	}
	return nil
}

// Start starts a stopped or killed process on the same ports, and waits until it is ready.
func (p *Process) Start(ctx context.Context) error {
	if err := p.launch(); err != nil {
		return err
	}
	return p.awaitReady(ctx)
}

// Restart stops and starts the process.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Start(ctx)
}

func (p *Process) launch() error {
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", p.name, err)
	}
	defer log.Close()
	started, err := subprocess.Start(subprocess.Command{Path: p.path, Env: p.env, Output: log})
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.child, p.stopped = started, false
	return nil
}

func (p *Process) awaitReady(ctx context.Context) error {
	if err := p.child.AwaitReady(ctx, p.OpsURL()+"/readyz"); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return nil
}

// finish stops the process if it is running. It returns an error if the process has ended on its
// own or had a data race.
func (p *Process) finish(ctx context.Context) error {
	var errs []error
	select {
	case <-p.child.Done():
		if !p.stopped {
			errs = append(errs, fmt.Errorf("%s ended on its own: %w\n%s", p.name, exitError(p.child.Err()), p.Log()))
		}
	default:
		_ = p.Resume() // a paused process does not handle signals
		errs = append(errs, p.Stop(ctx))
	}
	log, err := os.ReadFile(p.logFile)
	if err != nil {
		errs = append(errs, fmt.Errorf("read log of %s: %w", p.name, err))
	}
	if at := bytes.Index(log, []byte("WARNING: DATA RACE")); at >= 0 {
		errs = append(errs, fmt.Errorf("%s has a data race:\n%s", p.name, log[at:min(len(log), at+tailLimit)]))
	}
	return errors.Join(errs...)
}

func exitError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}
