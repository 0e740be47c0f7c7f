// Package image makes container images without a container engine. The same input gives the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Program returns an image that holds one statically linked program and runs it, as the Dockerfile does. arch is a GOARCH.
func Program(file, arch string, labels map[string]string, created time.Time) (v1.Image, error) {
	content, err := os.ReadFile(file) //nolint:gosec // a program that was just built
	if err != nil {
		return nil, fmt.Errorf("read the program of an image: %w", err)
	}
	archive, err := archiveOf("program", content)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", file, err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("make a layer of %s: %w", file, err)
	}
	return Layer(layer, arch, v1.Config{Entrypoint: []string{"/program"}, User: "65532:65532", Labels: labels}, created)
}

// Layer returns a Linux image of one layer.
func Layer(layer v1.Layer, arch string, config v1.Config, created time.Time) (v1.Image, error) {
	settings := &v1.ConfigFile{
		Architecture: arch,
		OS:           "linux",
		Config:       config,
		Created:      v1.Time{Time: created.UTC()},
		RootFS:       v1.RootFS{Type: "layers"},
	}
	image, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), settings)
	if err != nil {
		return nil, fmt.Errorf("configure an image: %w", err)
	}
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: created.UTC()}}})
	if err != nil {
		return nil, fmt.Errorf("add a layer to an image: %w", err)
	}
	return image, nil
}

// archiveOf returns a tar archive of one executable file, which has no time of its own.
func archiveOf(name string, content []byte) ([]byte, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o555, Size: int64(len(content)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}
