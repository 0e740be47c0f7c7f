//go:build e2e

package charts

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// testedElsewhere are the values without effect on what is rendered without a cluster, and their tests.
var testedElsewhere = []string{
	"global.generateSecrets",              // TestSecretsAreNotGeneratedWithoutACluster
	"operator.checkDefinitions",           // TestDifferentDefinitionsAreRejected
	"infrastructure.kafka.existingSecret", // TestCallsAreEncrypted
	// Others have to change with them, see TestInvalidValuesAreRejected.
	"infrastructure.enabled", "infrastructure.prometheus.enabled",
}

// baseline is a rendering in which single values are then changed.
type baseline struct {
	chart, prefix string // the prefix of its values in the store's chart
	values        map[string]any
	rendered      string
}

// TestEveryValueHasAnEffect changes each value of the charts, one at a time, to its default, or if
// it has that, to something else. Other objects must be the result.
func TestEveryValueHasAnEffect(t *testing.T) {
	t.Parallel()
	everything := read[map[string]any](t, store+"/ci/everything-values.yaml")
	external := read[map[string]any](t, store+"/ci/external-values.yaml")
	baselines := []*baseline{ // the smallest first, because it is rendered the fastest
		{chart: operator, prefix: "operator.", values: part(external, "operator")},
		{chart: infrastructure, prefix: "infrastructure.", values: part(everything, "infrastructure")},
		{chart: store, values: everything},
		{chart: store, values: external},
	}
	for _, b := range baselines {
		set(b.values, true, []string{"global", "generateSecrets"})
		var err error
		if b.rendered, err = b.render(t, b.values); err != nil {
			t.Fatal(err)
		}
	}
	for path, v := range allValues(t) {
		if slices.Contains(testedElsewhere, path) {
			continue
		}
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			var problems []error
			for _, b := range baselines {
				problem := b.hasEffect(t, path, v)
				if problem == nil {
					return
				}
				problems = append(problems, problem)
			}
			t.Error(errors.Join(problems...))
		})
	}
}

// part is the values of a chart that is a part of the store's.
func part(values map[string]any, chart string) map[string]any {
	found := maps.Clone(values[chart].(map[string]any))
	found["global"] = maps.Clone(values["global"].(map[string]any))
	return found
}

// hasEffect returns an error if another value does not change what is rendered.
func (b *baseline) hasEffect(t *testing.T, path string, v value) error {
	t.Helper()
	own := strings.TrimPrefix(path, b.prefix)
	if own == path && b.prefix != "" && !strings.HasPrefix(path, "global.") {
		return fmt.Errorf("not a value of %s", b.chart)
	}
	keys := strings.Split(own, ".")
	was := get(b.values, keys)
	var err error
	for _, to := range []any{nil, v.other()} { // nil is the default
		if to == nil && (was == nil || reflect.DeepEqual(was, v.usual)) {
			continue
		}
		changed := parseYAML[map[string]any](t, toYAML(t, b.values))
		set(changed, to, keys)
		var rendered string
		if rendered, err = b.render(t, changed); err == nil && rendered != b.rendered {
			return nil
		}
		err = errors.Join(err, fmt.Errorf("%s: no effect of %v instead of %v", b.chart, to, was))
	}
	return err
}

// value is what the chart says about a value.
type value struct {
	schema

	usual any
}

// other returns a value that the schema allows.
func (v value) other() any {
	switch kinds := fmt.Sprint(v.Type); {
	case v.Enum != nil:
		return v.Enum[slices.IndexFunc(v.Enum, func(choice any) bool { return choice != v.usual && choice != "" })]
	case kinds == "boolean":
		return v.usual == false
	case strings.Contains(kinds, "integer"):
		number, _ := v.usual.(float64)
		return number + 1
	default:
		return "other"
	}
}

var generatedLines = regexp.MustCompile(`(?m)^ *(keys|password|postgres-password|url|checksum/secrets?): .*$`)

// render renders the chart without what is random.
func (b *baseline) render(t *testing.T, values map[string]any) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(toYAML(t, values)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := helm(t, "template", "store", b.chart, "--namespace", "shop", "--values", file)
	return generatedLines.ReplaceAllString(out, ""), err
}

// allValues returns the values of all charts that have no values below them, by their paths in the
// store's chart.
func allValues(t *testing.T) map[string]value {
	t.Helper()
	found := map[string]value{}
	for prefix, chart := range map[string]string{"": store, "operator.": operator, "infrastructure.": infrastructure} {
		root, usual := readSchema(t, chart), parseYAML[map[string]any](t, content(t, chart+"/values.yaml"))
		var look func(path []string, s schema)
		look = func(path []string, s schema) {
			s = root.resolve(s)
			for name, property := range s.Properties {
				look(append(slices.Clone(path), name), property)
			}
			name := strings.Join(path, ".")
			if path[0] != "global" {
				name = prefix + name
			}
			if s.Properties == nil {
				found[name] = value{s, get(usual, path)}
			}
		}
		for name, property := range root.Properties {
			if chart != store || name != "operator" && name != "infrastructure" { // have schemas of their own
				look([]string{name}, property)
			}
		}
	}
	return found
}

func toYAML(t *testing.T, values map[string]any) string {
	t.Helper()
	text, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func get(values map[string]any, path []string) any {
	var found any = values
	for _, key := range path {
		inside, _ := found.(map[string]any)
		found = inside[key]
	}
	return found
}

// set sets a value, or deletes it if it is to be nil.
func set(values map[string]any, to any, path []string) {
	for _, key := range path[:len(path)-1] {
		inside, ok := values[key].(map[string]any)
		if !ok {
			inside = map[string]any{}
			values[key] = inside
		}
		values = inside
	}
	if values[path[len(path)-1]] = to; to == nil {
		delete(values, path[len(path)-1])
	}
}
