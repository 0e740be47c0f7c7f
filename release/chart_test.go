package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
