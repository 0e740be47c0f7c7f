package monitoring

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryPanelIsComplete(t *testing.T) {
	t.Parallel()
	uids := map[string]bool{}
	for _, b := range boards(t) {
		if uids[b.UID] || !strings.HasPrefix(b.UID, "merchstore-") {
			t.Errorf("%s: the uid is %q", b.Title, b.UID)
		}
		uids[b.UID] = true
		titles := map[string]bool{}
		for _, p := range b.Panels {
			if p.Type == "row" {
				continue
			}
			if titles[p.Title] {
				t.Errorf("%s: two panels are titled %s", b.Title, p.Title)
			}
			titles[p.Title] = true
			if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
				t.Errorf("%s: panel %q lacks a title, a description, a unit or a query", b.Title, p.Title)
			}
			for _, q := range p.Targets {
				if strings.Contains(q.Expr, "job=") {
					t.Errorf("%s: %s: the query depends on a job name: %s", b.Title, p.Title, q.Expr)
				}
				if p.Type == "stat" && !q.Instant {
					t.Errorf("%s: %s: it would show an old value as the current one", b.Title, p.Title)
				}
			}
			for _, l := range p.Links {
				runbook, is := strings.CutPrefix(l.URL, "${runbooks}/")
				if _, err := os.Stat(filepath.Join("../../docs/runbooks", runbook)); is && err != nil {
					t.Errorf("%s: %s: broken link: %v", b.Title, p.Title, err)
				}
			}
		}
	}
}

// TestEveryMetricIsDocumented: docs/metrics.md lists every metric of the store that a rule or a
// panel uses.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, name := range catalogued(t) {
		known[name] = true
	}
	for where, expr := range everyQuery(t) {
		for _, name := range metricsIn(expr) {
			plain := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				plain = strings.TrimSuffix(plain, suffix)
			}
			if strings.HasPrefix(name, "merchstore_") && !known[name] && !known[plain] {
				t.Errorf("%s: %s does not list %s", where, catalogue, name)
			}
		}
	}
}

// everyQuery returns the queries of all rules and panels by where they are.
func everyQuery(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range rules(t) {
		all[r.Alert+r.Record] = r.Expr
	}
	for _, b := range boards(t) {
		for _, p := range b.Panels {
			for i, q := range p.Targets {
				all[b.Title+": "+p.Title+" "+string(rune('A'+i))] = q.Expr
			}
		}
	}
	return all
}
