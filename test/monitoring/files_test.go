package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// Paths relative to this package.
const (
	rulesFile  = "../../charts/merchstore/rules/merchstore.yaml"
	dashboards = "../../charts/merchstore/dashboards/*.json"
	catalogue  = "../../docs/metrics.md"
)

// rule is an alerting or recording rule.
type rule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []rule }
	}
	read(t, rulesFile, &file)
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no rules found")
	}
	return all
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".json") {
		err = json.Unmarshal(content, into)
	} else {
		err = yaml.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
}

// dashboard is the part of a dashboard that these tests read.
type dashboard struct {
	UID, Title string
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
}

type panel struct {
	Type, Title, Description string
	Targets                  []struct {
		Expr              string
		Exemplar, Instant bool
	}
	Links       []struct{ URL string }
	FieldConfig struct {
		Defaults struct{ Unit string }
	}
}

func boards(t *testing.T) []dashboard {
	t.Helper()
	files, err := filepath.Glob(dashboards)
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards found: %v", err)
	}
	all := make([]dashboard, len(files))
	for i, file := range files {
		read(t, file, &all[i])
	}
	return all
}

var (
	labelsOfQuery = regexp.MustCompile(`\{[^}]*\}|\b(by|without|on|ignoring|group_left|group_right) *\([^)]*\)`)
	metricName    = regexp.MustCompile(`\b(?:namespace:)?(?:merchstore|http|grpc|go|process|controller_runtime|workqueue|leader_election)_[a-z0-9_:]+`)
)

// metricsIn returns the names of the metrics in a query.
func metricsIn(expr string) []string {
	return metricName.FindAllString(labelsOfQuery.ReplaceAllString(expr, ""), -1)
}

// catalogued returns the names in the first column of docs/metrics.md. A name that begins with an
// ellipsis has the prefix of the previous name.
func catalogued(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, quoted := range regexp.MustCompile("`[^`]+`").FindAllString(cells[1], -1) {
			name, _, _ := strings.Cut(strings.Trim(quoted, "`"), "{")
			if rest, short := strings.CutPrefix(name, "…"); short {
				name = continued(t, names, rest)
			}
			names = append(names, name)
		}
	}
	if len(names) < 50 {
		t.Fatalf("%s lists only %d metrics: %v", catalogue, len(names), names)
	}
	return names
}

// continued expands a shortened name such as "…_waits_total" after
// "merchstore_db_pool_acquires_total".
func continued(t *testing.T, names []string, rest string) string {
	t.Helper()
	if len(names) == 0 {
		t.Fatalf("%s: no name precedes …%s", catalogue, rest)
	}
	for _, stem := range []string{
		"merchstore_db_pool", "merchstore_log_messages", "merchstore_logging_messages",
	} {
		if strings.HasPrefix(names[len(names)-1], stem+"_") {
			return stem + rest
		}
	}
	t.Fatalf("%s: …%s has no known prefix", catalogue, rest)
	return ""
}
