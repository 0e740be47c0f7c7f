//go:build linux

package main

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"merchstore.io/merchstore/internal/image"
	"merchstore.io/merchstore/test/kafka/jars"
)

// infrastructureImage contains PostgreSQL, Kafka, Valkey (or Redis, its predecessor) and Prometheus.
// The chart's values name it where the official images cannot be pulled. See the README's section on
// Kubernetes.
const infrastructureImage = "test.merchstore.io/infrastructure:dev"

// prometheusVersion is the version in tools/prometheus/go.mod. It is Prometheus 3.15.1, whose image
// the chart names.
const prometheusVersion = "v0.315.1"

//go:embed infrastructure
var infrastructureFiles embed.FS

// infrastructureConfig is the image's default entrypoint, environment and stop signal. PostgreSQL would
// wait for its clients on SIGTERM, so its official image has SIGINT too; the others treat both alike.
var infrastructureConfig = v1.Config{
	Entrypoint: []string{"/usr/local/bin/entrypoint.sh"},
	StopSignal: "SIGINT",
	Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/opt/postgresql/bin", "LANG=C.UTF-8"},
}

// infrastructure returns the path of the archive of infrastructureImage in the user's cache. The first
// call builds it from packages of the machine's Debian or Ubuntu repositories, Kafka's jars, and the
// prometheus that `make build-cluster` builds.
func infrastructure(ctx context.Context, out io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache: %w", err)
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
	fmt.Fprintln(out, "building an image with PostgreSQL, Kafka, Redis and Prometheus from packages (only once; a minute or two)")
	work, err := os.MkdirTemp("", "merchstore-infrastructure-")
	if err != nil {
		return "", fmt.Errorf("create a temporary folder: %w", err)
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, infrastructureFiles); err != nil {
		return "", fmt.Errorf("create a temporary folder: %w", err)
	}
	root := filepath.Join(work, "root.tar")
	if err := execute(ctx, nil, "bash", filepath.Join(work, "infrastructure", "make-root.sh"), root, libraries, prometheus); err != nil {
		return "", fmt.Errorf("create an image's files: %w", err)
	}
	layer, err := tarball.LayerFromFile(root, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
	if err != nil {
		return "", fmt.Errorf("read an image's files: %w", err)
	}
	img, err := image.Layer(layer, runtime.GOARCH, infrastructureConfig, time.Time{})
	if err != nil {
		return "", err
	}
	return archive, writeImage(archive, infrastructureImage, img)
}

// infrastructureVersion changes with everything that the image is built from, except the versions of
// the packages.
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
