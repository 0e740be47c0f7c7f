//go:build e2e

package charts

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// sources are the packages with the settings structs of each program.
var sources = map[string][]string{
	"api": {"services/api", "services/api/transfer", "internal/logstream", "internal/mtls", "internal/tracing", "internal/process"},
	"db": {
		"services/db", "services/db/cache", "services/db/jobs", "services/db/logins", "services/db/postgres", "services/db/server",
		"internal/logstream", "internal/mtls", "internal/rpcserver", "internal/tracing", "internal/process",
	},
	"logging": {
		"services/logging", "services/logging/kafka", "services/logging/server", "internal/mtls", "internal/rpcserver", "internal/tracing",
		"internal/process",
	},
	"operator": {"operator", "operator/certificate", "operator/kafkatopic", "operator/databaseschema", "internal/process"},
	"loadgen":  {"services/loadgen", "services/loadgen/faults", "internal/process"},
}

// fixed are the settings that the chart does not expose, because it relies on their defaults, or
// sets them for `helm test`.
var fixed = map[string][]string{
	"api":      {"HTTP_ADDR", "OPS_ADDR", "CHECK_URL"},
	"db":       {"GRPC_ADDR", "OPS_ADDR"},
	"logging":  {"GRPC_ADDR", "OPS_ADDR", "KAFKA_CREATE_TOPIC", "KAFKA_TOPIC_PARTITIONS", "KAFKA_TOPIC_REPLICATION"},
	"operator": {"OPS_ADDR", "KUBECONFIG"},
	"loadgen": { // faults are injected from a terminal
		"FAULT_CONTEXT", "FAULT_DURATION", "FAULT_INTERVAL", "FAULT_COMPONENT", "FAULT_NAMESPACE", "FAULT_RELEASE", "KUBECTL",
		"LOG_LEVEL", "PROFILING", "MEASURE_CALLS", "DRAIN_DELAY", "SHUTDOWN_TIMEOUT",
	},
}

// TestSchemasListTheSettingsOfThePrograms finds settings that a program does not know, and settings
// that a chart does not allow.
func TestSchemasListTheSettingsOfThePrograms(t *testing.T) {
	t.Parallel()
	schemas := map[string]schema{}
	for _, name := range []string{"api", "db", "logging"} {
		schemas[name] = readSchema(t, store).Properties[name].Properties["settings"]
	}
	schemas["operator"] = readSchema(t, operator).Properties["settings"]
	schemas["loadgen"] = schema{} // has its own values

	given := given(t)
	for program, settings := range schemas {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			known := knownSettings(t, sources[program])
			reached := slices.Concat(slices.Collect(maps.Keys(settings.Properties)), given[program], fixed[program])
			slices.Sort(reached)
			if diff := cmp.Diff(known, slices.Compact(reached)); diff != "" {
				t.Errorf("known to the program -, to the chart +\n%s", diff)
			}
		})
	}
}

// given returns the settings that the charts themselves set, with any of the value sets.
func given(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	for _, values := range valueSets {
		o := render(t, store, values...)
		for _, d := range all[*appsv1.Deployment](o) {
			program := strings.TrimPrefix(d.Name, "store-")
			names[program] = append(names[program], slices.Collect(maps.Keys(env(d.Spec.Template)))...)
			if has[*corev1.ConfigMap](o, d.Name) {
				names[program] = append(names[program], slices.Collect(maps.Keys(find[*corev1.ConfigMap](t, o, d.Name).Data))...)
			}
			names[program] = slices.DeleteFunc(names[program], func(name string) bool {
				return name == "GOMEMLIMIT" || name == "EXTRA" || strings.HasPrefix(name, "PGSSL")
			})
		}
	}
	return names
}

// knownSettings returns the names in the `env` tags of packages.
func knownSettings(t *testing.T, packages []string) []string {
	t.Helper()
	var names []string
	for _, folder := range packages {
		files, err := filepath.Glob("../../" + folder + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", folder, files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if field, ok := n.(*ast.Field); ok && field.Tag != nil {
					if name, ok := reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Lookup("env"); ok {
						name, _, _ = strings.Cut(name, ",")
						names = append(names, name)
					}
				}
				return true
			})
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// schema is the part of JSON Schema that these tests read.
type schema struct {
	Ref                  string            `json:"$ref"`
	Type                 any               `json:"type"`
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties any               `json:"additionalProperties"`
	Items                *schema           `json:"items"`
	Definitions          map[string]schema `json:"definitions"`
	AllOf                []schema          `json:"allOf"`
	Enum                 []any             `json:"enum"`
}

// resolve returns a part of the schema with the definitions that it refers to.
func (s *schema) resolve(part schema) schema {
	if part.Ref != "" {
		return s.resolve(s.Definitions[strings.TrimPrefix(part.Ref, "#/definitions/")])
	}
	for _, other := range part.AllOf {
		if other = s.resolve(other); other.Properties != nil {
			part.Properties = maps.Clone(part.Properties)
			maps.Copy(part.Properties, other.Properties)
		}
	}
	return part
}

func readSchema(t *testing.T, chart string) schema {
	t.Helper()
	content, err := os.ReadFile(chart + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(content, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemasRejectUnknownKeys finds objects that allow any key.
func TestSchemasRejectUnknownKeys(t *testing.T) {
	t.Parallel()
	for _, chart := range []string{store, operator, infrastructure} {
		root := readSchema(t, chart)
		var look func(path string, s schema)
		look = func(path string, s schema) {
			part := chart == store && (path == "/operator" || path == "/infrastructure") // have schemas of their own
			if s.Type == "object" && s.AdditionalProperties == nil && !part {
				t.Errorf("%s: %s allows any key", chart, path)
			}
			for name, property := range s.Properties {
				look(path+"/"+name, property)
			}
			if s.Items != nil {
				look(path+"/*", *s.Items)
			}
		}
		look("", root)
		for name, definition := range root.Definitions {
			look("#"+name, definition)
		}
	}
}

// TestEveryValueIsInTheValuesFile compares the schemas with the values files, which explain the
// values.
func TestEveryValueIsInTheValuesFile(t *testing.T) {
	t.Parallel()
	for _, chart := range []string{store, operator, infrastructure} {
		out, err := helm(t, "show", "values", chart)
		if err != nil {
			t.Fatal(err)
		}
		root, values := readSchema(t, chart), unchecked(t, out)[0].Object
		var look func(path string, s schema, value any)
		look = func(path string, s schema, value any) {
			if path != "/api" && path != "/postgresql" {
				s.AllOf = nil // the values of all workloads, which are explained at the first one
			}
			s = root.resolve(s)
			shown, ok := value.(map[string]any)
			if !ok || strings.HasSuffix(path, "/settings") || strings.HasSuffix(path, "/limits") {
				return
			}
			for name, property := range s.Properties {
				if _, there := shown[name]; !there && name != "minAvailable" { // instead of another one
					t.Errorf("%s: %s/%s is not in values.yaml", chart, path, name)
				}
				look(path+"/"+name, property, shown[name])
			}
		}
		look("", root, values)
	}
}
