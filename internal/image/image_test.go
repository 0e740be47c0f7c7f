package image_test

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"merchstore.io/merchstore/internal/image"
)

var (
	labels  = map[string]string{"org.opencontainers.image.version": "1.2.3"}
	created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("east", 3600))
)

func program(t *testing.T, arch, content string) v1.Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "api")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	img, err := image.Program(file, arch, labels, created)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func digest(t *testing.T, img v1.Image) string {
	t.Helper()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func TestProgramIsReproducible(t *testing.T) {
	t.Parallel()
	first := digest(t, program(t, "arm64", "code"))
	for name, test := range map[string]struct {
		arch, content string
		same          bool
	}{
		"the same program in another folder": {arch: "arm64", content: "code", same: true},
		"another program":                    {arch: "arm64", content: "more code"},
		"another architecture":               {arch: "amd64", content: "code"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if same := digest(t, program(t, test.arch, test.content)) == first; same != test.same {
				t.Errorf("same digest: %t, want %t", same, test.same)
			}
		})
	}
}

func TestProgramRunsWithoutRights(t *testing.T) {
	t.Parallel()
	img := program(t, "arm64", "code")
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{Entrypoint: []string{"/program"}, User: "65532:65532", Labels: labels}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Error(diff)
	}
	if config.RootFS.Type != "layers" || len(config.RootFS.DiffIDs) != 1 {
		t.Errorf("file system %+v", config.RootFS)
	}
	if config.OS != "linux" || config.Architecture != "arm64" || !config.Created.Equal(created) {
		t.Errorf("%s/%s, created %s", config.OS, config.Architecture, config.Created)
	}
	files := tar.NewReader(mutate.Extract(img))
	header, err := files.Next()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(files)
	if header.Name != "program" || header.Mode != 0o555 || string(content) != "code" || err != nil {
		t.Errorf("%s, mode %o: %q, %v", header.Name, header.Mode, content, err)
	}
}

func TestMissingProgram(t *testing.T) {
	t.Parallel()
	if _, err := image.Program(filepath.Join(t.TempDir(), "api"), "amd64", nil, created); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
