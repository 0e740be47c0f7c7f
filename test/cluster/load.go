//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"strings"
	"sync"
)

// load imports the images of archives on all nodes.
func load(ctx context.Context, archives []string) error {
	failed := make([]error, workers)
	var wait sync.WaitGroup
	for i, n := range nodes() {
		wait.Go(func() { failed[i] = n.load(ctx, archives...) })
	}
	wait.Wait()
	return errors.Join(failed...)
}

func (n node) load(ctx context.Context, archives ...string) error {
	for _, archive := range archives {
		if err := execute(ctx, nil, "ctr", n.images("import", archive)...); err != nil {
			return fmt.Errorf("import images on %s: %w", n.name(), err)
		}
	}
	return n.nameImages(ctx)
}

// nameImages adds full names to images whose names have no registry, such as merchstore/api:
// kubelets use full names.
func (n node) nameImages(ctx context.Context) error {
	names, err := exec.CommandContext(ctx, "ctr", n.images("list", "--quiet")...).Output()
	if err != nil {
		return fmt.Errorf("list images on %s: %w", n.name(), err)
	}
	for name := range strings.FieldsSeq(string(bytes.TrimSpace(names))) {
		full := fullName(name)
		if full == name {
			continue
		}
		if err := execute(ctx, nil, "ctr", n.images("tag", "--force", name, full)...); err != nil {
			return fmt.Errorf("tag image on %s: %w", n.name(), err)
		}
	}
	return nil
}

// fullName returns the full name of an image, by Docker's rules.
func fullName(name string) string {
	first, _, more := strings.Cut(name, "/")
	switch {
	case strings.HasPrefix(name, "sha256:"):
		return name
	case !more:
		return path.Join("docker.io/library", name)
	case strings.ContainsAny(first, ".:") || first == "localhost":
		return name
	default:
		return path.Join("docker.io", name)
	}
}

// images returns the arguments of a ctr command on the images of the kubelet.
func (n node) images(args ...string) []string {
	return append([]string{"--address", n.containerd(), "--namespace", "k8s.io", "images"}, args...)
}
