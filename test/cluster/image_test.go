package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVersionsAreThoseThatAreBuilt(t *testing.T) {
	t.Parallel()
	for folder, want := range map[string]string{
		"coredns":    "github.com/coredns/coredns " + coreDNSVersion,
		"kubernetes": "sigs.k8s.io/metrics-server " + metricsServerVersion,
	} {
		module, err := os.ReadFile(filepath.Join("..", "..", "tools", folder, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(module), want) {
			t.Errorf("tools/%s/go.mod does not ask for %s", folder, want)
		}
	}
}
