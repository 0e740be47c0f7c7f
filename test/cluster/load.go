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

// load gives the images of archives to all nodes.
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
			return fmt.Errorf("give images to %s: %w", n.name(), err)
		}
	}
	return n.nameImages(ctx)
}

// nameImages gives images whose names leave the registry out, as in merchstore/api, the full names that a kubelet asks for.
func (n node) nameImages(ctx context.Context) error {
	names, err := exec.CommandContext(ctx, "ctr", n.images("list", "--quiet")...).Output()
	if err != nil {
		return fmt.Errorf("list the images of %s: %w", n.name(), err)
	}
	for name := range strings.FieldsSeq(string(bytes.TrimSpace(names))) {
		full := fullName(name)
		if full == name {
			continue
		}
		if err := execute(ctx, nil, "ctr", n.images("tag", "--force", name, full)...); err != nil {
			return fmt.Errorf("name an image of %s: %w", n.name(), err)
		}
	}
	return nil
}

// fullName is what a short name of an image stands for, in Docker's words.
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

// images are the arguments of ctr for a command about the images that the kubelet sees.
func (n node) images(args ...string) []string {
	return append([]string{"--address", n.containerd(), "--namespace", "k8s.io", "images"}, args...)
}
