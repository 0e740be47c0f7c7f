//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

const (
	// What tools/coredns/go.mod and tools/kubernetes/go.mod say.
	coreDNSVersion       = "v1.15.0"
	metricsServerVersion = "v0.9.0"

	pauseImage         = "test.merchstore.io/pause:dev"
	coreDNSImage       = "test.merchstore.io/coredns:" + coreDNSVersion
	metricsServerImage = "test.merchstore.io/metrics-server:" + metricsServerVersion
)

// ownImages are the archives of the images that the cluster itself is made of.
func ownImages() []string {
	var all []string
	for _, name := range []string{"pause", "coredns", "metrics-server"} {
		all = append(all, filepath.Join(home, "images", name+".tar"))
	}
	return all
}

// makeImages writes the archives of ownImages: each has one static program in it, and nothing else.
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
func makeImage(archive, name, program string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read what goes into an image: %w", err)
	}
	layer, err := tarOf(file{"program", content, 0o555})
	if err != nil {
		return err
	}
	return writeImage(archive, name, layer, map[string]any{"Entrypoint": []string{"/program"}, "User": "65532:65532"})
}

// writeImage writes an image of one layer as an archive, in the form that `docker save` gives it.
func writeImage(archive, name string, layer []byte, config map[string]any) error {
	sum := sha256.Sum256(layer)
	settings, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{
		{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return err
	}
	all, err := tarOf(file{"layer.tar", layer, 0o444}, file{"config.json", settings, 0o444}, file{"manifest.json", manifest, 0o444})
	if err != nil {
		return err
	}
	return writeFile(archive, all)
}

type file struct {
	name    string
	content []byte
	mode    int64
}

func tarOf(all ...file) ([]byte, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range all {
		err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Format: tar.FormatPAX})
		if err == nil {
			_, err = w.Write(f.content)
		}
		if err != nil {
			return nil, fmt.Errorf("put %s into an archive: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("end an archive: %w", err)
	}
	return archive.Bytes(), nil
}
