//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTimeout bounds the shutdown of the supervisor, which usually takes a second.
const stopTimeout = time.Minute

// down stops the cluster if it runs, and removes everything that it or a killed cluster has left.
func down(ctx context.Context, out io.Writer) error {
	held, err := lock()
	if errors.Is(err, errRuns) {
		held, err = endSupervisor(ctx)
	}
	if err != nil {
		return err
	}
	defer held.Close()
	if err := clean(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(home); err != nil {
		return fmt.Errorf("remove the cluster's folder: %w", err)
	}
	_, err = fmt.Fprintln(out, "The cluster and everything it created are removed.")
	return err
}

// endSupervisor stops the process that holds the lock, first with SIGTERM, then with SIGKILL, and
// returns the lock.
func endSupervisor(ctx context.Context) (*os.File, error) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if pid := holder(); pid > 1 {
			_ = syscall.Kill(pid, sig) // fails only if it has ended
		}
		held, err := awaitLock(ctx)
		if !errors.Is(err, errRuns) {
			return held, err
		}
	}
	return nil, errors.New("the cluster does not stop")
}

func awaitLock(ctx context.Context) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		held, err := lock()
		if !errors.Is(err, errRuns) {
			return held, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-ticker.C:
		}
	}
}

// clean removes the rest of a cluster whose supervisor has ended. The kernel has killed the
// supervisor's children, then the other processes of each node with the node's first process, and has
// removed the node's mounts with its last process.
func clean(ctx context.Context) error {
	if err := errors.Join(removeGroups(ctx), removeNetwork(ctx)); err != nil {
		return err
	}
	// Do not delete through a mount.
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("find mounts: %w", err)
	}
	if strings.Contains(string(mounts), " "+home+"/") {
		return fmt.Errorf("there is a mount below %s: unmount it, then try again", home)
	}
	entries, err := os.ReadDir(home)
	if err != nil {
		return fmt.Errorf("read the cluster's folder: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(home, entry.Name())
		if path == lockFile() {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove the cluster's files: %w", err)
		}
	}
	return nil
}
