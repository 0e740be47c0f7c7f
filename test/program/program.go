// Package program runs a server of a test or benchmark as a child process, which ends with this
// one, and which can be stopped, killed, paused and restarted.
package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
)

const (
	startTimeout = 2 * time.Minute
	stopTimeout  = 30 * time.Second
	// tailLimit is the number of bytes of the log that are printed.
	tailLimit = 8 << 10
)

// Program is a program with its settings. It stays the same over restarts. Start, Stop, Kill and
// Restart must not be called concurrently with any other method.
type Program struct {
	*subprocess.Process // of the last start

	Name    string             // in errors
	Command subprocess.Command // without Output
	LogFile string             // to which restarts append
	// Ready is called until it returns nil. The program has started then.
	Ready       func(ctx context.Context) error
	StopTimeout time.Duration // by default half a minute
	// AnyExit means that the exit code is meaningless, as that of a JVM after SIGTERM.
	AnyExit bool

	stopped bool // by this package
}

// Start starts the program and waits until it is ready.
func (p *Program) Start(ctx context.Context) error {
	if err := p.Launch(); err != nil {
		return err
	}
	return p.AwaitReady(ctx)
}

// Launch starts the program and does not wait.
func (p *Program) Launch() error {
	log, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", p.Name, err)
	}
	defer log.Close()
	command := p.Command
	command.Output = log
	process, err := subprocess.Start(command)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.Process, p.stopped = process, false
	return nil
}

// AwaitReady waits until a launched program is ready, and kills it if that takes too long. The
// error has the end of the log.
func (p *Program) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := p.Process.AwaitReady(ctx, p.Ready); err != nil {
		p.Kill()
		return fmt.Errorf("start %s: %w\n%s", p.Name, err, p.Log())
	}
	return nil
}

// Stop sends SIGTERM and waits until the program has ended. It returns an error if the program did
// not end in time, exited with an error, or had ended on its own. Stopping a stopped or killed
// program does nothing.
func (p *Program) Stop() error {
	if p.Process == nil || p.stopped {
		return nil
	}
	p.stopped = true
	select {
	case <-p.Done():
		return fmt.Errorf("%s ended on its own: %w\n%s", p.Name, cmp.Or(p.Err(), errors.New("exit status 0")), p.Log())
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(p.StopTimeout, stopTimeout))
	defer cancel()
	err := errors.Join(p.Resume(), p.Process.Stop(ctx)) // a paused program does not handle signals
	if err == nil && !p.AnyExit {
		err = p.Err()
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w\n%s", p.Name, err, p.Log())
	}
	return nil
}

// Kill sends SIGKILL, to simulate a crash, and waits until the program has ended.
func (p *Program) Kill() {
	if p.Process != nil {
		p.stopped = true
		p.Process.Kill()
	}
}

// Restart stops the program if it is running, and starts it.
func (p *Program) Restart(ctx context.Context) error {
	if err := p.Stop(); err != nil {
		return err
	}
	return p.Start(ctx)
}

// Pause suspends the program with SIGSTOP, to simulate a hanging machine: connections stay open but
// nothing responds.
func (p *Program) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume continues a paused program.
func (p *Program) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Program) signal(s syscall.Signal) error {
	if err := p.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to %s: %w", s, p.Name, err)
	}
	return nil
}

// Log returns the end of the log.
func (p *Program) Log() string {
	return fmt.Sprintf("end of the log of %s:\n%s", p.Name, subprocess.Tail(p.LogFile, tailLimit))
}
