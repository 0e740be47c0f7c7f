package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"merchstore.io/merchstore/internal/child"
)

// tailLimit is how much of a log is shown, in bytes.
const tailLimit = 8 << 10

// Process is one service's process. Its methods are for one goroutine at a time, but for Addr, URL, OpsURL and LogFile.
type Process struct {
	name    string
	path    string
	addr    string
	ops     string
	logFile string
	env     []string

	child   *child.Process
	stopped bool // by us, so that its end is no surprise
}

// environment is what a process gets besides our own environment.
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
	env := os.Environ() //nolint:forbidigo // PATH and the like; the settings that matter are all set here
	for _, more := range []map[string]string{settings, o.Env[""], o.Env[filepath.Base(p.path)]} {
		for name, value := range more {
			env = append(env, name+"="+value) // the last one wins
		}
	}
	return env
}

// Addr is where it serves: REST or gRPC.
func (p *Process) Addr() string { return p.addr }

// URL is the address of a REST service.
func (p *Process) URL() string { return "http://" + p.addr }

// OpsURL is where it has its /metrics, /healthz and /readyz.
func (p *Process) OpsURL() string { return "http://" + p.ops }

// LogFile is where it logs to, over restarts too.
func (p *Process) LogFile() string { return p.logFile }

// PID is its process id, for looking at its memory.
func (p *Process) PID() int { return p.child.PID() }

// Done is closed when the process has ended. After a start it is another one.
func (p *Process) Done() <-chan struct{} { return p.child.Done() }

// Log is the end of what it has logged.
func (p *Process) Log() string {
	return fmt.Sprintf("the end of the log of %s:\n%s", p.name, child.Tail(p.logFile, tailLimit))
}

// Kill ends the process at once (SIGKILL).
func (p *Process) Kill() {
	if p.child != nil {
		p.stopped = true
		p.child.Kill()
	}
}

// Pause freezes the process (SIGSTOP): its connections stay open and nothing answers.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on (SIGCONT).
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	if err := p.child.Signal(s); err != nil {
		return fmt.Errorf("sending %v to %s: %w", s, p.name, err)
	}
	return nil
}

// Stop ends the process in an orderly way (SIGTERM). Its error says that it did not end in time, or said that something went wrong.
func (p *Process) Stop(ctx context.Context) error {
	p.stopped = true
	if err := p.child.Stop(ctx); err != nil {
		return fmt.Errorf("stopping %s: %w\n%s", p.name, err, p.Log())
	}
	if err := p.child.Err(); err != nil {
		return fmt.Errorf("%s ended with %w\n%s", p.name, err, p.Log())
	}
	return nil
}

// Start starts a process again that was stopped or killed, on the same ports, and returns when it is ready.
func (p *Process) Start(ctx context.Context) error {
	if err := p.launch(); err != nil {
		return err
	}
	return p.awaitReady(ctx)
}

// Restart stops the process and starts it again.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Start(ctx)
}

func (p *Process) launch() error {
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.name, err)
	}
	defer log.Close()
	started, err := child.Start(child.Command{Path: p.path, Env: p.env, Output: log})
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.child, p.stopped = started, false
	return nil
}

func (p *Process) awaitReady(ctx context.Context) error {
	if err := p.child.AwaitReady(ctx, p.OpsURL()+"/readyz"); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	return nil
}

// finish stops the process if it runs, and looks back at how it was.
func (p *Process) finish(ctx context.Context) error {
	var errs []error
	select {
	case <-p.child.Done():
		if !p.stopped {
			errs = append(errs, fmt.Errorf("%s ended unasked: %w\n%s", p.name, how(p.child.Err()), p.Log()))
		}
	default:
		_ = p.Resume() // a paused one has to go on to hear of it
		errs = append(errs, p.Stop(ctx))
	}
	log, err := os.ReadFile(p.logFile)
	if err != nil {
		errs = append(errs, fmt.Errorf("reading the log of %s: %w", p.name, err))
	}
	if at := bytes.Index(log, []byte("WARNING: DATA RACE")); at >= 0 {
		errs = append(errs, fmt.Errorf("%s has a data race:\n%s", p.name, log[at:min(len(log), at+tailLimit)]))
	}
	return errors.Join(errs...)
}

func how(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}
