package pgserver

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPackagedReturnsTheNewestFirst(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, version := range []string{"9.6", "15", "8.4", "17"} {
		bin := filepath.Join(root, version, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, "initdb"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "18", "bin"), 0o755); err != nil { // client programs only
		t.Fatal(err)
	}
	var got []string
	for _, i := range packaged(root) {
		got = append(got, i.version)
	}
	want := []string{"17", "15", "9.6", "8.4"}
	if len(got) != len(want) {
		t.Fatalf("found %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("found %v, want %v", got, want)
		}
	}
}
