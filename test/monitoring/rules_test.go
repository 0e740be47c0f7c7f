package monitoring

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"merchstore.io/merchstore/services/loadgen/faults"
)

func promtool(t *testing.T, arguments ...string) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), "promtool", arguments...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

func testFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests of rules found: %v", err)
	}
	return files
}

func TestRules(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", rulesFile)
	for _, file := range testFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			promtool(t, "test", "rules", file)
		})
	}
}

// TestEveryAlertIsTestedFiringAndNotFiring checks the coverage of the files in testdata.
func TestEveryAlertIsTestedFiringAndNotFiring(t *testing.T) {
	t.Parallel()
	type seen struct{ firing, quiet bool }
	alerts := map[string]*seen{}
	for _, r := range rules(t) {
		if r.Alert != "" {
			alerts[r.Alert] = new(seen)
		}
	}
	for _, file := range testFiles(t) {
		var tests struct {
			Tests []struct {
				Name        string
				Expressions []struct {
					Expr     string `json:"expr"`
					Expected []any  `json:"exp_samples"`
				} `json:"promql_expr_test"`
			}
		}
		read(t, file, &tests)
		for _, test := range tests.Tests {
			for _, e := range test.Expressions {
				for name, s := range alerts {
					switch {
					case e.Expr == fmt.Sprintf(`ALERTS{alertname="%s", alertstate="firing"}`, name):
						s.firing = s.firing || len(e.Expected) > 0
						s.quiet = s.quiet || len(e.Expected) == 0
					case e.Expr == fmt.Sprintf(`ALERTS{alertname="%s"}`, name) && len(e.Expected) == 0:
						s.quiet = true
					}
				}
			}
		}
	}
	for name, s := range alerts {
		if !s.firing || !s.quiet {
			t.Errorf("%s: tested firing: %t; tested not firing: %t", name, s.firing, s.quiet)
		}
	}
}

func TestEveryAlertHasASeverityAndARunbook(t *testing.T) {
	t.Parallel()
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s: severity is %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: it has no summary or no description", r.Alert)
		}
		if want := "docs/runbooks/" + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
	}
}

func TestFaultsNameExistingAlerts(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{}
	for _, r := range rules(t) {
		exists[r.Alert] = true
	}
	for _, fault := range faults.All() {
		if len(fault.Alerts) == 0 {
			t.Errorf("%s names no alert", fault.Name)
		}
		for _, alert := range fault.Alerts {
			if !exists[alert] {
				t.Errorf("%s: there is no alert %s", fault.Name, alert)
			}
		}
	}
}
