// Package child runs programs as child processes that never outlive this one, however it ends.
package child

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// outputLimit is how long output is waited for that a child's own children hold open after it has ended.
const outputLimit = 5 * time.Second

// Command says what to run.
type Command struct {
	Path string
	Args []string
	Dir  string
	// Env is the whole environment; nil means our own.
	Env []string
	// Output takes what the child says, both its streams; nil throws that away. A file is handed to the child, which then
	// depends on us for nothing; any other writer is fed by a goroutine.
	Output io.Writer
	// Credential is the account to run as; nil means our own.
	Credential *syscall.Credential
	// LastSignal is what the kernel sends the child when we have ended without stopping it; zero means SIGKILL.
	LastSignal syscall.Signal
}

// Process is a child that was started. It is safe for concurrent use.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	exit error // set before done is closed
}

// Start runs the command, in a process group of its own: a Ctrl-C in the terminal reaches only us, and we stop our
// children in our order.
func Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Path, c.Args...) //nolint:gosec,noctx // what runs is the caller's choice; a context kills, and children are stopped
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.WaitDelay = outputLimit
	if c.Output != nil {
		cmd.Stdout, cmd.Stderr = c.Output, c.Output
	}
	if c.LastSignal == 0 {
		c.LastSignal = syscall.SIGKILL
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: c.LastSignal, Credential: c.Credential}

	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.live(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("run %s: %w", c.Path, err)
	}
	return p, nil
}

// live starts the child on a thread that lives as long as it does: the kernel sends Pdeathsig when the thread that
// forked ends, not only when the whole process does.
func (p *Process) live(started chan<- error) {
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

// PID is its process id, which may be another's once Done is closed.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended, for whatever reason.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended: nil while it runs and after exit code 0, else an *exec.ExitError.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.exit
	default:
		return nil
	}
}

// Signal sends a signal. Once the child has ended it returns os.ErrProcessDone.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) } //nolint:wrapcheck // callers compare it

// Stop asks the child to end (SIGTERM) and waits until it has. When ctx ends first the child is killed, and only that is
// an error; with what code the child ended, Err says.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.Signal(syscall.SIGTERM) // fails only when it has ended, which is what we wait for
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("killed, for it did not end in time: %w", context.Cause(ctx))
	}
}

// Kill ends the child at once, as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL) // fails only when it has ended
	<-p.done
}
