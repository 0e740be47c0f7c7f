package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// resident returns the resident memory of a process in bytes.
func resident(pid int) (int64, error) { return memoryOf(pid, "VmRSS:") }

// peak returns the maximum resident memory of a process so far, in bytes.
func peak(pid int) (int64, error) { return memoryOf(pid, "VmHWM:") }

func memoryOf(pid int, what string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, what); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("process %d reports no memory", pid)
}

// memoryWatch records the maximum memory of each process.
type memoryWatch struct {
	mu   sync.Mutex
	most map[string]int64
}

// watchMemory polls five times a second until ctx is done. It calls pids each time, because
// processes are restarted.
func watchMemory(ctx context.Context, pids func() map[string]int) *memoryWatch {
	w := &memoryWatch{most: map[string]int64{}}
	go func() {
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				w.look(pids())
			}
		}
	}()
	return w
}

func (w *memoryWatch) look(pids map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, pid := range pids {
		if n, err := resident(pid); err == nil { // fails while the process is restarted
			w.most[name] = max(w.most[name], n)
		}
	}
}

func (w *memoryWatch) report() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.most)
}
