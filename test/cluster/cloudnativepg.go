//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"merchstore.io/merchstore/internal/image"
)

// cloudNativePGVersion is the version in tools/cloudnative-pg/go.mod.
const cloudNativePGVersion = "1.28.0"

const operatorImage = "test.merchstore.io/cloudnative-pg:" + cloudNativePGVersion

// installCloudNativePG loads two images into all nodes, CloudNativePG's operator and a PostgreSQL for it,
// and applies the operator's manifest. tools/build-kubernetes builds the operator.
func installCloudNativePG(ctx context.Context, out io.Writer) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find the user's cache: %w", err)
	}
	built := filepath.Join(cache, "merchstore", "cloudnative-pg-v"+cloudNativePGVersion)
	operator, err := operatorOf(filepath.Join(built, "manager"))
	if err != nil {
		return err
	}
	base, err := infrastructure(ctx, out)
	if err != nil {
		return err
	}
	instance, tag, err := instanceOf(base)
	if err != nil {
		return err
	}
	archives := []string{filepath.Join(home, "images", "cloudnative-pg.tar"), filepath.Join(home, "images", "postgresql.tar")}
	if err := errors.Join(writeImage(archives[0], operatorImage, operator), writeImage(archives[1], tag, instance)); err != nil {
		return err
	}
	if err := load(ctx, archives); err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(built, "manifest.yaml"))
	if err != nil {
		return fmt.Errorf("read the manifest of CloudNativePG: %w", err)
	}
	const namespace = "        - name: OPERATOR_NAMESPACE\n"
	local := strings.NewReplacer("ghcr.io/cloudnative-pg/cloudnative-pg:"+cloudNativePGVersion, operatorImage, "imagePullPolicy: Always", "imagePullPolicy: IfNotPresent",
		namespace, "        - name: POSTGRES_IMAGE_NAME\n          value: "+tag+"\n"+namespace).Replace(string(manifest))
	if err := kubectl(ctx, local, "apply", "--server-side", "--filename=-"); err != nil {
		return fmt.Errorf("apply the manifest of CloudNativePG: %w", err)
	}
	return kubectl(ctx, "", "--namespace=cnpg-system", "rollout", "status", "--timeout="+readyTimeout.String(), "deployment/cnpg-controller-manager")
}

// operatorOf returns an image with the operator's program. It looks for programs of each processor at
// /operator, to copy them into the pods of PostgreSQL.
func operatorOf(program string) (v1.Image, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("read the program of CloudNativePG: %w", err)
	}
	path := "operator/manager_" + runtime.GOARCH
	layer, err := layerOf(map[string]string{path: string(content)}, tar.Header{Name: "manager", Typeflag: tar.TypeSymlink, Linkname: "/" + path})
	if err != nil {
		return nil, err
	}
	return image.Layer(layer, runtime.GOARCH, v1.Config{User: "10001:10001"}, time.Time{})
}

// instanceOf returns the image of the archive of infrastructureImage as CloudNativePG needs it, and its
// name, whose tag must be PostgreSQL's major version: with a name for user 26, and with PostgreSQL's
// programs in PATH instead of Debian's wrappers.
func instanceOf(archive string) (v1.Image, string, error) {
	base, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", archive, err)
	}
	version, err := findPostgreSQL(base)
	if err != nil {
		return nil, "", fmt.Errorf("look for PostgreSQL in %s: %w", archive, err)
	}
	users, err := layerOf(map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh\npostgres:x:26:26::/tmp:/bin/sh\n"})
	if err != nil {
		return nil, "", err
	}
	img, err := mutate.AppendLayers(base, users)
	if err == nil {
		img, err = mutate.Config(img, v1.Config{User: "26:26", Env: []string{"PATH=/opt/postgresql/bin:/usr/bin:/bin", "LANG=C.UTF-8"}})
	}
	if err != nil {
		return nil, "", fmt.Errorf("extend an image: %w", err)
	}
	return img, "test.merchstore.io/postgresql:" + version, nil
}

var serverProgram = regexp.MustCompile(`^(?:\./)?usr/lib/postgresql/(\d+)/bin/postgres$`)

// findPostgreSQL returns the major version of an image's PostgreSQL.
func findPostgreSQL(img v1.Image) (string, error) {
	content := mutate.Extract(img)
	defer content.Close()
	for files := tar.NewReader(content); ; {
		header, err := files.Next()
		if err != nil {
			return "", err
		}
		if found := serverProgram.FindStringSubmatch(header.Name); found != nil {
			return found[1], nil
		}
	}
}

// layerOf returns a layer of executable files, by path, and of links.
func layerOf(files map[string]string, links ...tar.Header) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for path, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return nil, fmt.Errorf("archive %s: %w", path, err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			return nil, fmt.Errorf("archive %s: %w", path, err)
		}
	}
	for _, link := range links {
		if err := w.WriteHeader(&link); err != nil {
			return nil, fmt.Errorf("archive %s: %w", link.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive files: %w", err)
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }, tarball.WithCompressedCaching)
}
