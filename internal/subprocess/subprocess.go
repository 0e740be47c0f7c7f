// Package subprocess runs programs as child processes that do not outlive this process, even if it
// crashes.
package subprocess

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// outputTimeout bounds the wait for output pipes held open by grandchildren after the child has
// ended.
const outputTimeout = 5 * time.Second

// Command is a program to run.
type Command struct {
	Path string
	Args []string
	Dir  string
	// Env is the environment. Nil means that of this process.
	Env []string
	// Output receives stdout and stderr. Nil discards them. An *os.File is passed to the child
	// itself; any other writer is written to by a goroutine.
	Output io.Writer
	// Credential is the user to run as. Nil means that of this process.
	Credential *syscall.Credential
	// Inherited are open files that the child inherits as descriptors from 3 on.
	Inherited []*os.File
	// StopSignal is the signal sent by Stop. Nil means SIGTERM.
	StopSignal os.Signal
	// LastSignal is the signal the kernel sends to the child if this process ends without stopping
	// it. Zero means SIGKILL. Only Linux supports it.
	LastSignal syscall.Signal
}

// Process is a started child. It is safe for concurrent use.
type Process struct {
	cmd        *exec.Cmd
	stopSignal os.Signal
	done       chan struct{}
	exit       error // set before done is closed
}

// Start runs the command in a process group of its own, so that Ctrl-C in a terminal reaches only
// this process, which can then stop its children in order.
func Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Path, c.Args...) //nolint:gosec,noctx // the caller chooses the program; a context would kill the child instead of stopping it
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.ExtraFiles = c.Inherited
	cmd.WaitDelay = outputTimeout
	if c.Output != nil {
		cmd.Stdout, cmd.Stderr = c.Output, c.Output
	}
	if c.LastSignal == 0 {
		c.LastSignal = syscall.SIGKILL
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.Credential}
	setDeathSignal(cmd.SysProcAttr, c.LastSignal)

	p := &Process{cmd: cmd, stopSignal: cmp.Or[os.Signal](c.StopSignal, syscall.SIGTERM), done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("run %s: %w", c.Path, err)
	}
	return p, nil
}

// run starts the child and waits for it on the same thread, because the kernel sends the death
// signal when the thread that forked the child ends.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.exit = p.cmd.Wait()
	close(p.done)
}

// PID returns the process id. It may be reused by another process once Done is closed.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns nil while the child runs and after exit code 0, otherwise an *exec.ExitError.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.exit
	default:
		return nil
	}
}

// Signal sends a signal to the child. It returns os.ErrProcessDone if the child has ended.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop sends the stop signal and waits until the child has ended. If ctx is done first, Stop kills the
// child and returns an error. Err returns the exit code in either case.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.Signal(p.stopSignal) // fails only if the child has ended
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("killed, because it did not end in time: %w", context.Cause(ctx))
	}
}

// Kill sends SIGKILL and waits until the child has ended.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL) // fails only if the child has ended
	<-p.done
}
