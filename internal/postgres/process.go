package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one run of a child, and of the children it has itself.
type process struct {
	cmd      *exec.Cmd
	logStart int64 // where this run begins in the log, in bytes
	stopping atomic.Bool
	done     chan struct{}
	exit     error // set before done is closed
}

// command prepares a program of PostgreSQL's: as the unprivileged user, without our environment (PGDATA, PGOPTIONS and
// the like would change what it does), and in a process group of its own, so that a Ctrl-C in the terminal reaches only
// us and we stop it in our order.
func (s *Server) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...) //nolint:gosec,noctx // a found installation; a context kills, and servers are stopped
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  syscall.SIGINT, // PostgreSQL's fast shutdown
		Credential: s.account.credential,
	}
	return cmd
}

// startProcess starts the command on a thread that lives as long as the child: the kernel sends Pdeathsig when the
// thread that forked ends, not only when the process does.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.exit = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// signal fails only when the process has ended.
func (p *process) signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// end stops a server that is of no use, in order when it can.
func (p *process) end() {
	if p.signal(syscall.SIGINT) == nil {
		select {
		case <-p.done:
		case <-time.After(orphansLimit):
			p.kill()
		}
	}
	<-p.done
}

// kill ends the process and its children, without a chance to tidy up. Killing the parent alone would not do:
// PostgreSQL gives each session a process group of its own, and a busy one finishes its query before it looks up.
func (p *process) kill() {
	if p.signal(syscall.SIGSTOP) != nil { // no new children while we count them
		<-p.done // it has ended, so its id may be another's
		return
	}
	children := childrenOf(p.pid())
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = p.signal(syscall.SIGKILL)
	<-p.done
	limit := time.After(orphansLimit)
	for _, pid := range children {
		for alive(pid) {
			select {
			case <-limit:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	var children []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if _, parent, err := processState(child); err == nil && parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// alive is false for a zombie too: it holds nothing any more.
func alive(pid int) bool {
	state, _, err := processState(pid)
	return err == nil && state != 'Z' && state != 'X'
}

// processState reads the state letter and the parent from /proc; see proc_pid_stat(5).
func processState(pid int) (state byte, parent int, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The name before the state is in parentheses and may hold anything, parentheses included.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, errors.New("unreadable process state")
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return fields[0][0], parent, err
}
