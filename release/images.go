package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"merchstore.io/merchstore/internal/image"
)

var (
	programs      = []string{"api", "db", "loadgen", "logging", "operator"}
	architectures = []string{"amd64", "arm64"}
)

// built returns the program's file, as built by `make build-release`.
func built(program, arch string) string { return filepath.Join("build", "release", arch, program) }

// publishProgram pushes an index of images of a program, one for each architecture, and writes the
// program's SBOM.
func (r *release) publishProgram(ctx context.Context, program string) error {
	index, err := r.index(program)
	if err != nil {
		return err
	}
	tag, err := r.reference(program)
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	if err := r.checkUnused(tag, digest); err != nil {
		return err
	}
	if err := remote.WriteIndex(tag, index, r.options...); err != nil {
		return fmt.Errorf("push %s: %w", tag, err)
	}
	sbom, err := r.writeSBOM(ctx, program)
	if err != nil {
		return err
	}
	r.add(artifact{name: program, digest: tag.Digest(digest.String()), sbom: sbom})
	return nil
}

// checkUnused returns an error if the tag exists with other content.
func (r *release) checkUnused(tag name.Tag, digest v1.Hash) error {
	released, err := remote.Head(tag, r.options...)
	if problem := new(transport.Error); errors.As(err, &problem) && problem.StatusCode == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for %s: %w", tag, err)
	}
	if released.Digest != digest {
		return fmt.Errorf("%s is already released as %s, not %s", tag, released.Digest, digest)
	}
	return nil
}

func (r *release) add(a artifact) {
	r.artifacts = append(r.artifacts, a)
	fmt.Fprintln(r.out, a.digest)
}

func (r *release) index(program string) (v1.ImageIndex, error) {
	labels := r.labels("merchstore " + program)
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range architectures {
		img, err := image.Program(built(program, arch), arch, labels, r.time)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	return mutate.Annotations(index, labels).(v1.ImageIndex), nil
}

// labels returns the OCI labels of an image. The indexes and the chart have them as annotations.
func (r *release) labels(title string) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       title,
		"org.opencontainers.image.description": "SUSTech Merch Store",
		"org.opencontainers.image.version":     r.Version,
		"org.opencontainers.image.revision":    r.revision,
		"org.opencontainers.image.created":     r.time.UTC().Format(time.RFC3339),
		"org.opencontainers.image.source":      r.Source,
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
}
