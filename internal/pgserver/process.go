package pgserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
)

// process is one run of the server.
type process struct {
	*subprocess.Process
	logStart int64 // offset of this run in the log
	stopping atomic.Bool
}

// command returns a command for a program of PostgreSQL, run as the unprivileged user and without
// the environment of this process, because variables such as PGDATA and PGOPTIONS would change its
// behavior.
func (s *Server) command(program string, output io.Writer, args ...string) subprocess.Command {
	return subprocess.Command{
		Path:       filepath.Join(s.bin, program),
		Args:       args,
		Dir:        s.dir,
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"},
		Output:     output,
		Credential: s.account.credential,
		LastSignal: syscall.SIGINT, // PostgreSQL's fast shutdown
	}
}

// stop shuts the server down, and kills it after endTimeout.
func (p *process) stop() {
	if p.Signal(syscall.SIGINT) == nil {
		select {
		case <-p.Done():
		case <-time.After(endTimeout):
			killTree(p.Process)
		}
	}
	<-p.Done()
}

// killTree kills a process and its children. Killing the parent alone is not enough: each session
// of PostgreSQL is a process group of its own, and a busy one notices the end of its parent only
// after its query.
func killTree(p *subprocess.Process) {
	if p.Signal(syscall.SIGSTOP) != nil { // no new children while they are listed
		<-p.Done() // it has ended, and its id may be reused
		return
	}
	children := childrenOf(p.PID())
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	p.Kill()
	limit := time.After(endTimeout)
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

// Pause suspends all processes of the server with SIGSTOP, to simulate a hanging machine:
// connections stay open, but nothing responds until Resume.
func (s *Server) Pause() { s.signalTree(syscall.SIGSTOP) }

// Resume continues a paused server.
func (s *Server) Resume() { s.signalTree(syscall.SIGCONT) }

// signalTree sends a signal to all processes of the server. It does nothing if the server has
// ended.
func (s *Server) signalTree(sig syscall.Signal) {
	p := s.current()
	if p.Signal(sig) != nil {
		return
	}
	for _, pid := range childrenOf(p.PID()) {
		_ = syscall.Kill(pid, sig)
	}
}

// childrenOf returns the processes whose parent is pid.
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

// alive reports whether a process exists and is not a zombie, which holds no resources.
func alive(pid int) bool {
	state, _, err := processState(pid)
	return err == nil && state != 'Z' && state != 'X'
}

// processState returns the state letter and the parent of a process from /proc, see
// proc_pid_stat(5).
func processState(pid int) (state byte, parent int, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The name before the state is in parentheses and may contain parentheses itself.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, errors.New("unreadable process state")
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return fields[0][0], parent, err
}
