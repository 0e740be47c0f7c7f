//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"merchstore.io/merchstore/internal/image"
)

const (
	// The versions in tools/coredns/go.mod and tools/kubernetes/go.mod.
	coreDNSVersion       = "v1.15.0"
	metricsServerVersion = "v0.9.0"

	pauseImage         = "test.merchstore.io/pause:dev"
	coreDNSImage       = "test.merchstore.io/coredns:" + coreDNSVersion
	metricsServerImage = "test.merchstore.io/metrics-server:" + metricsServerVersion
)

// ownImages returns the archives of the images that the cluster itself needs.
func ownImages() []string {
	var all []string
	for _, name := range []string{"pause", "coredns", "metrics-server"} {
		all = append(all, filepath.Join(home, "images", name+".tar"))
	}
	return all
}

// makeImages writes the archives of ownImages. Each contains one static program and nothing else.
func makeImages() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("look for the folder of built programs: %w", err)
	}
	archives, built := ownImages(), filepath.Join(cache, "merchstore")
	return errors.Join(
		makeImage(archives[0], pauseImage, filepath.Join(filepath.Dir(self), "pause")),
		makeImage(archives[1], coreDNSImage, filepath.Join(built, "coredns-forwarding-"+coreDNSVersion, "coredns")),
		makeImage(archives[2], metricsServerImage, filepath.Join(built, "metrics-server-"+metricsServerVersion, "metrics-server")),
	)
}

// makeImage writes the archive of an image of one program.
func makeImage(archive, tag, program string) error {
	img, err := image.Program(program, runtime.GOARCH, nil, time.Time{})
	if err != nil {
		return err
	}
	return writeImage(archive, tag, img)
}

// writeImage writes an image as an archive in the format of `docker save`.
func writeImage(archive, tag string, img v1.Image) error {
	reference, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("name an image: %w", err)
	}
	var content bytes.Buffer
	if err := tarball.Write(reference, img, &content); err != nil {
		return fmt.Errorf("archive %s: %w", tag, err)
	}
	return writeFile(archive, content.Bytes())
}
