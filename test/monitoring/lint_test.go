package monitoring

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"merchstore.io/merchstore/test/metrics"
)

// checkMetrics has promtool look at what a process serves.
func checkMetrics(t *testing.T, pod, url string) {
	t.Helper()
	text, err := metrics.Text(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	command.Stdin = bytes.NewReader(text)
	output, err := command.CombinedOutput()
	for line := range strings.Lines(string(output)) {
		t.Errorf("%s: %s", pod, strings.TrimSpace(line))
	}
	if err != nil && len(output) == 0 {
		t.Errorf("%s: promtool check metrics: %v", pod, err)
	}
}
