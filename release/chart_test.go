package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

func TestTheChartNamesTheImagesOfItsRelease(t *testing.T) {
	t.Parallel()
	chart := t.TempDir()
	if err := os.CopyFS(chart, os.DirFS("../"+chartFolder)); err != nil {
		t.Fatal(err)
	}
	r := &release{Settings: Settings{Version: "1.2.3", Registry: "registry.example.com/shop", Source: "https://example.com"}}
	for i, program := range programs {
		digest, err := name.NewDigest(r.Registry + "/" + program + "@sha256:" + strings.Repeat(string(rune('a'+i)), 64))
		if err != nil {
			t.Fatal(err)
		}
		r.artifacts = append(r.artifacts, artifact{name: program, digest: digest})
	}
	if err := r.edit(chart); err != nil {
		t.Fatal(err)
	}
	for folder, parts := range map[string][]string{"": {"api", "db", "logging"}, "charts/operator": {"operator"}, "charts/infrastructure": {"loadgen"}} {
		for _, file := range []string{"values.yaml", "README.md"} {
			b, err := os.ReadFile(filepath.Join(chart, folder, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, program := range parts {
				for _, want := range []string{r.Registry + "/" + program, r.digest(program)} {
					if n := strings.Count(string(b), want); n != 1 {
						t.Errorf("%s/%s has %d times %s", folder, file, n, want)
					}
				}
			}
		}
	}
}

// TestTheSameFilesGiveTheSameArchive packs files in two orders and at two times.
func TestTheSameFilesGiveTheSameArchive(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pack := func(modified time.Time, names ...string) []byte {
		var buffer bytes.Buffer
		out := gzip.NewWriter(&buffer)
		files := tar.NewWriter(out)
		for _, name := range names {
			if err := files.WriteHeader(&tar.Header{Name: name, Size: int64(len(name)), Mode: 0o644, ModTime: modified}); err != nil {
				t.Fatal(err)
			}
			if _, err := files.Write([]byte(name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(files.Close(), out.Close()); err != nil {
			t.Fatal(err)
		}
		archive, err := repack(buffer.Bytes(), when)
		if err != nil {
			t.Fatal(err)
		}
		return archive
	}
	if !bytes.Equal(pack(when.Add(time.Hour), "Chart.yaml", "charts/a/Chart.yaml", "charts/b/Chart.yaml"),
		pack(when, "Chart.yaml", "charts/b/Chart.yaml", "charts/a/Chart.yaml")) {
		t.Error("the archives differ")
	}
}
