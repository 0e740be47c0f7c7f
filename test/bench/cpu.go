package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat: sysconf(_SC_CLK_TCK) is 100 on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// cpu returns the CPU time of a process and its running children.
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

// machine returns the CPU time of the whole machine, including the time stolen by its host.
func machine() (all, stolen time.Duration) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	for i, field := range strings.Fields(first)[1:] { // skips the word "cpu"
		n, _ := strconv.Atoi(field)
		spent := time.Duration(n) * tick
		if i < 8 { // the rest are guest times, which are included in the user times
			all += spent
		}
		if i == 7 {
			stolen = spent
		}
	}
	return all, stolen
}

// stat returns the CPU time and the parent of a process, or zeros if it has ended.
func stat(pid int) (used time.Duration, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name in parentheses may contain spaces
	fields := strings.Fields(rest)             // from the third field, the state
	if len(fields) < 13 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, parent
}
