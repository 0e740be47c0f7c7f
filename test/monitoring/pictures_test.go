package monitoring

import (
	"flag"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/test/eventually"
)

// pictures is where `make pictures` wants the pictures of docs/dashboards.md.
var pictures = flag.String("pictures", "", "folder for pictures of the dashboards, which are drawn after five minutes of load")

// draw draws every dashboard by tools/pictures.
func (w *watched) draw(t *testing.T) {
	t.Helper()
	folder, last := t.TempDir(), "100s"
	if *pictures != "" {
		folder, last = *pictures, "5m"
		eventually.NoError(t, 10*time.Minute, "five minutes of data", func() error {
			return w.data(t.Context(), "up offset 5m")
		})
	}
	files, err := filepath.Glob(dashboards)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "-C", "../../tools/pictures", ".", "-prometheus", w.url, "-last", last, "-rate-interval", rateInterval, folder}
	for _, file := range files {
		absolute, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, absolute)
	}
	if output, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("draw: %v\n%s", err, output)
	}
	for _, file := range files {
		if err := decodes(filepath.Join(folder, strings.TrimSuffix(filepath.Base(file), ".json")+".png")); err != nil {
			t.Error(err)
		}
	}
}

func decodes(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open a picture: %w", err)
	}
	defer f.Close()
	if _, err := png.Decode(f); err != nil {
		return fmt.Errorf("decode %s: %w", file, err)
	}
	return nil
}
