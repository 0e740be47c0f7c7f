//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page has the commands of docs/production.md. They run one block at a time, in a folder that a reader
// could have: with the charts in it, and a kubeconfig that they may change.
type page struct {
	blocks []string
	folder string
}

var fence = regexp.MustCompile("(?ms)^```\\w+\n(.*?)^```$")

func openPage(t *testing.T) page {
	t.Helper()
	text, err := os.ReadFile("../../docs/production.md")
	if err != nil {
		t.Fatal(err)
	}
	p := page{folder: t.TempDir()}
	for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
		p.blocks = append(p.blocks, block[1])
	}
	charts, err := filepath.Abs("../../charts")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(charts, p.file("charts")); err != nil {
		t.Fatal(err)
	}
	p.write(t, "kubeconfig", []byte(cluster{t: t}.kubectl("config", "view", "--raw")))
	t.Setenv("KUBECONFIG", p.file("kubeconfig"))
	return p
}

func (p page) file(name string) string { return filepath.Join(p.folder, name) }

func (p page) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(p.file(name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// block returns the only block that contains a text.
func (p page) block(t *testing.T, text string) string {
	t.Helper()
	var found []string
	for _, block := range p.blocks {
		if strings.Contains(block, text) {
			found = append(found, block)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d blocks of the page contain %q, want 1", len(found), text)
	}
	return found[0]
}

// run runs the only block that contains a text. Like a reader, it stops at the first command that fails.
func (p page) run(t *testing.T, text string) {
	t.Helper()
	block := p.block(t, text)
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block)
	command.Dir = p.folder
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, block, output)
	}
}
