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

// stopTimeout is what the supervisor may take to end everything; a second is usual.
const stopTimeout = time.Minute

// down ends the cluster, if it runs, and removes all that is left of it or of one that was killed.
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
	_, err = fmt.Fprintln(out, "The cluster is gone, and all that it made with it.")
	return err
}

// endSupervisor asks whoever has the lock to end, insists in the end, and returns the lock.
func endSupervisor(ctx context.Context) (*os.File, error) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if pid := holder(); pid > 1 {
			_ = syscall.Kill(pid, sig) // fails only when it has ended
		}
		held, err := awaitLock(ctx)
		if !errors.Is(err, errRuns) {
			return held, err
		}
	}
	return nil, errors.New("the cluster does not end")
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

// clean removes what is there of a cluster whose supervisor has ended: with it the kernel has ended all its children, in a node
// all processes with the first, and with the last of those all that was mounted.
func clean(ctx context.Context) error {
	if err := errors.Join(removeGroups(ctx), removeNetwork(ctx)); err != nil {
		return err
	}
	// Never through a mount into something that is not ours.
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("look for mounts: %w", err)
	}
	if strings.Contains(string(mounts), " "+home+"/") {
		return fmt.Errorf("something is mounted below %s: unmount it, then try again", home)
	}
	entries, err := os.ReadDir(home)
	if err != nil {
		return fmt.Errorf("look into the cluster's folder: %w", err)
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
