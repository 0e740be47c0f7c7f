package monitoring

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"merchstore.io/merchstore/test/metrics"
)

// checkMetrics checks the metrics of a process with promtool.
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
