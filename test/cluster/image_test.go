//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVersionsMatchTheGoModFiles(t *testing.T) {
	t.Parallel()
	for folder, want := range map[string]string{
		"cloudnative-pg": "github.com/cloudnative-pg/cloudnative-pg v" + cloudNativePGVersion,
		"coredns":        "github.com/coredns/coredns " + coreDNSVersion,
		"kubernetes":     "sigs.k8s.io/metrics-server " + metricsServerVersion,
		"prometheus":     "github.com/prometheus/prometheus " + prometheusVersion,
	} {
		module, err := os.ReadFile(filepath.Join("..", "..", "tools", folder, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(module), want) {
			t.Errorf("tools/%s/go.mod does not require %s", folder, want)
		}
	}
}

// TestPrometheusVersionMatchesTheChart: this cluster and the chart's image have the same version.
// Module v0.315.1 is Prometheus 3.15.1.
func TestPrometheusVersionMatchesTheChart(t *testing.T) {
	t.Parallel()
	var of, minor, patch int
	if _, err := fmt.Sscanf(prometheusVersion, "v0.%1d%d.%d", &of, &minor, &patch); err != nil {
		t.Fatal(err)
	}
	values, err := os.ReadFile(filepath.Join("..", "..", "charts", "infrastructure", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("prom/prometheus:v%d.%d.%d\n", of, minor, patch); !strings.Contains(string(values), want) {
		t.Errorf("the infrastructure chart does not name %s", want)
	}
}
