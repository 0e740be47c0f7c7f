package postgres

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

	"merchstore.io/merchstore/internal/child"
)

// process is one run of the server, and of the children it has itself.
type process struct {
	*child.Process
	logStart int64 // where this run begins in the log, in bytes
	stopping atomic.Bool
}

// command prepares a program of PostgreSQL's: as the unprivileged user, and without our environment (PGDATA, PGOPTIONS
// and the like would change what it does).
func (s *Server) command(program string, output io.Writer, args ...string) child.Command {
	return child.Command{
		Path:       filepath.Join(s.bin, program),
		Args:       args,
		Dir:        s.dir,
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"},
		Output:     output,
		Credential: s.account.credential,
		LastSignal: syscall.SIGINT, // PostgreSQL's fast shutdown
	}
}

// end stops a server that is of no use, in order when it can.
func (p *process) end() {
	if p.Signal(syscall.SIGINT) == nil {
		select {
		case <-p.Done():
		case <-time.After(orphansLimit):
			killFamily(p.Process)
		}
	}
	<-p.Done()
}

// killFamily ends a process and its children, without a chance to tidy up. Killing the parent alone would not do:
// PostgreSQL gives each session a process group of its own, and a busy one finishes its query before it looks up.
func killFamily(p *child.Process) {
	if p.Signal(syscall.SIGSTOP) != nil { // no new children while we count them
		<-p.Done() // it has ended, so its id may be another's
		return
	}
	children := childrenOf(p.PID())
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	p.Kill()
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

// Pause stops all processes of the server where they are, as a machine that hangs would: its sockets stay open, and nothing
// answers. Resume lets them go on.
func (s *Server) Pause() { s.signalFamily(syscall.SIGSTOP) }

// Resume continues a paused server.
func (s *Server) Resume() { s.signalFamily(syscall.SIGCONT) }

// signalFamily does nothing when the server has ended.
func (s *Server) signalFamily(sig syscall.Signal) {
	p := s.current()
	if p.Signal(sig) != nil {
		return
	}
	for _, pid := range childrenOf(p.PID()) {
		_ = syscall.Kill(pid, sig)
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
