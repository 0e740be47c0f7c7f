//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"merchstore.io/merchstore/test/kafka/jars"
)

// infrastructureImage has PostgreSQL, Kafka, Valkey (or Redis, which it comes from) and Prometheus in it: where there is no way to the official
// images, the chart's values name this one. See the README's part about Kubernetes.
const infrastructureImage = "test.merchstore.io/infrastructure:dev"

// prometheusVersion is what tools/prometheus/go.mod says. It stands for Prometheus 3.15.1, whose image the chart names.
const prometheusVersion = "v0.315.1"

//go:embed infrastructure
var infrastructureFiles embed.FS

// infrastructureConfig is what the image runs unless it is told otherwise, where it looks for programs, and how it is ended: PostgreSQL would
// wait for its clients to go on SIGTERM, so its official image has SIGINT too. To the others, both are the same.
var infrastructureConfig = map[string]any{
	"Entrypoint": []string{"/usr/local/bin/entrypoint.sh"},
	"StopSignal": "SIGINT",
	"Env":        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/opt/postgresql/bin", "LANG=C.UTF-8"},
}

// infrastructure says where the archive of infrastructureImage is, in the user's cache, and makes it if it is not there yet: from
// the Debian or Ubuntu packages that this machine gets its own from, Kafka's jars, and the prometheus that `make build-cluster` builds.
func infrastructure(ctx context.Context, out io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("look for the user's cache: %w", err)
	}
	libraries, err := jars.Dir(ctx)
	if err != nil {
		return "", err
	}
	prometheus := filepath.Join(cache, "merchstore", "prometheus-"+prometheusVersion, "prometheus")
	version, err := infrastructureVersion(libraries)
	if err != nil {
		return "", err
	}
	archive := filepath.Join(cache, "merchstore", "infrastructure-"+version, "infrastructure.tar")
	if _, err := os.Stat(archive); !errors.Is(err, fs.ErrNotExist) {
		return archive, err
	}
	fmt.Fprintln(out, "making an image with PostgreSQL, Kafka, Redis and Prometheus from packages (only this once; a minute or two)")
	work, err := os.MkdirTemp("", "merchstore-infrastructure-")
	if err != nil {
		return "", fmt.Errorf("make a folder to work in: %w", err)
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, infrastructureFiles); err != nil {
		return "", fmt.Errorf("make a folder to work in: %w", err)
	}
	root := filepath.Join(work, "root.tar")
	if err := execute(ctx, nil, "bash", filepath.Join(work, "infrastructure", "make-root.sh"), root, libraries, prometheus); err != nil {
		return "", fmt.Errorf("make an image's files: %w", err)
	}
	layer, err := os.ReadFile(root)
	if err != nil {
		return "", fmt.Errorf("read an image's files: %w", err)
	}
	return archive, writeImage(archive, infrastructureImage, layer, infrastructureConfig)
}

// infrastructureVersion changes with all that the image is made of, but for the packages' own versions.
func infrastructureVersion(libraries string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, filepath.Base(libraries), prometheusVersion, infrastructureConfig)
	err := fs.WalkDir(infrastructureFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := infrastructureFiles.ReadFile(path)
		fmt.Fprintf(h, "%s %q\n", path, content)
		return err
	})
	return fmt.Sprintf("%.6x", h.Sum(nil)), err
}
