package kafka

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// process is a child that never outlives this process.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the child is gone and reaped
}

// startProcess runs a program with its output appended to the file log.
func startProcess(log, program string, arguments ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log file: %w", err)
	}
	defer out.Close()

	p := &process{cmd: exec.Command(program, arguments...), log: log, done: make(chan struct{})} //nolint:noctx // lives until it is signalled
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// A group of its own: Ctrl-C in a terminal reaches this process, which decides what becomes of the child.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the starting thread ends, so that thread is kept for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in the log
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v: %w", s, err)
	}
	return nil
}

// output is the end of what the child has said.
func (p *process) output() []byte {
	out, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return tail(out)
}

// tail is the last part of some output, short enough for an error.
func tail(out []byte) []byte {
	const enough = 8 << 10
	return out[max(0, len(out)-enough):]
}
