package main

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// cpu returns the CPU time of a process and its running children.
func cpu(pid int) (used time.Duration) {
	processes, _ := procfs.AllProcs()
	for _, p := range processes {
		if s, err := p.Stat(); err == nil && (s.PID == pid || s.PPID == pid) {
			used += seconds(s.CPUTime())
		}
	}
	return used
}

// machine returns the CPU time of the whole machine, including the time stolen by its host.
func machine() (all, stolen time.Duration) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, 0
	}
	stat, err := fs.Stat()
	if err != nil {
		return 0, 0
	}
	c := stat.CPUTotal
	return seconds(c.User + c.Nice + c.System + c.Idle + c.Iowait + c.IRQ + c.SoftIRQ + c.Steal), seconds(c.Steal)
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// memory returns the resident memory of a process in bytes: the current one, and the maximum so far.
func memory(pid int) (now, peak uint64, err error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, 0, fmt.Errorf("find process %d: %w", pid, err)
	}
	s, err := p.NewStatus()
	if err != nil {
		return 0, 0, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	return s.VmRSS, s.VmHWM, nil
}
