package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/PID/stat: sysconf(_SC_CLK_TCK), which is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is the processor time that a process and its children that live have used.
func cpu(pid int) time.Duration {
	used, _ := stat(pid)
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return used
	}
	for _, p := range processes {
		child, err := strconv.Atoi(filepath.Base(p))
		if err != nil {
			continue
		}
		if t, parent := stat(child); parent == pid {
			used += t
		}
	}
	return used
}

// machine is the processor time of the whole machine, and how much of it the host has given to others instead.
func machine() (all, stolen time.Duration) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	for i, field := range strings.Fields(first)[1:] { // after the word "cpu"
		n, _ := strconv.Atoi(field)
		spent := time.Duration(n) * tick
		if i < 8 { // the ones after it are part of the first
			all += spent
		}
		if i == 7 {
			stolen = spent
		}
	}
	return all, stolen
}

// stat reads the processor time and the parent of a process; zeros if it is gone.
func stat(pid int) (used time.Duration, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name in parentheses may hold spaces
	fields := strings.Fields(rest)             // from the third on, state
	if len(fields) < 13 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, parent
}
