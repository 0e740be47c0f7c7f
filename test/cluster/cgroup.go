//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hierarchies returns the roots of the cgroup hierarchies: one per controller in version 1, a
// single one in version 2.
func hierarchies() ([]string, error) {
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{root}, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	var all []string
	for _, entry := range entries {
		if entry.IsDir() { // skips symbolic links
			all = append(all, filepath.Join(root, entry.Name()))
		}
	}
	return all, nil
}

// makeGroups creates a node's cgroups: one for its pods, which the kubelet manages, and in it one
// for the node's programs.
func (n node) makeGroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range all {
		group := filepath.Join(hierarchy, n.device())
		programs := filepath.Join(group, "programs")
		err := errors.Join(os.MkdirAll(programs, 0o755), passOn(hierarchy, group), passOn(group, programs))
		if err != nil {
			return fmt.Errorf("create cgroups: %w", err)
		}
	}
	return nil
}

// passOn delegates to a cgroup what its parent has: controllers in version 2, CPUs and memory nodes
// in version 1.
func passOn(parent, group string) error {
	if controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers")); err == nil {
		var wanted []string
		for _, controller := range strings.Fields(string(controllers)) {
			wanted = append(wanted, "+"+controller)
		}
		return os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte(strings.Join(wanted, " ")), 0)
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another controller
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(group, file), value, 0); err != nil {
			return err
		}
	}
	return nil
}

// enterGroups moves this process and its future children into the node's cgroups.
func (n node) enterGroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range all {
		if err := os.WriteFile(filepath.Join(hierarchy, n.device(), "programs", "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("enter cgroups: %w", err)
		}
	}
	return nil
}

// removeGroups kills the processes in the cgroups of all nodes and removes the cgroups.
func removeGroups(ctx context.Context) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, hierarchy := range all {
		for _, n := range nodes() {
			if err := removeGroup(ctx, filepath.Join(hierarchy, n.device())); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeGroup retries until a cgroup and its children are removed, because killed processes take a
// moment to end.
func removeGroup(ctx context.Context, root string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := tryRemoveGroup(root)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove cgroups: %w", err)
		case <-ticker.C:
		}
	}
}

func tryRemoveGroup(root string) error {
	var groups []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, group := range slices.Backward(groups) { // children first
		processes, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if err != nil {
			return err
		}
		for _, process := range strings.Fields(string(processes)) {
			// 0 is a process of another PID namespace.
			if pid, err := strconv.Atoi(process); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL) // fails only if it has ended
			}
		}
		if err := os.Remove(group); err != nil {
			return err
		}
	}
	return nil
}
