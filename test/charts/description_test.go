//go:build e2e

package charts

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// description is what Artifact Hub reads in a Chart.yaml.
type description struct {
	KubeVersion, Home, Icon string
	Annotations             map[string]string
}

// definition is an entry of the annotation artifacthub.io/crds.
type definition struct{ Kind, Version, Name, DisplayName, Description string }

// TestDescription checks what Artifact Hub would refuse or show wrongly.
func TestDescription(t *testing.T) {
	t.Parallel()
	about := read[description](t, store+"/Chart.yaml")

	icon, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(about.Icon, "data:image/svg+xml;base64,"))
	if err != nil {
		t.Error(err)
	}
	if favicon := content(t, "../../services/api/storefront/assets/favicon.svg"); string(icon) != favicon {
		t.Error("the icon is not the storefront's")
	}
	capabilities := []string{"Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"}
	if got := about.Annotations["artifacthub.io/operatorCapabilities"]; !slices.Contains(capabilities, got) {
		t.Errorf("operator capabilities %q", got)
	}
	categories := []string{
		"ai-machine-learning", "database", "integration-delivery", "monitoring-logging", "networking", "security",
		"skip-prediction", "storage", "streaming-messaging",
	}
	if got := about.Annotations["artifacthub.io/category"]; !slices.Contains(categories, got) {
		t.Errorf("category %q", got)
	}
	for _, chart := range []string{operator, infrastructure} {
		if part := read[description](t, chart+"/Chart.yaml"); part.KubeVersion != about.KubeVersion || part.KubeVersion == "" {
			t.Errorf("%s is for Kubernetes %s, the store for %s", chart, part.KubeVersion, about.KubeVersion)
		}
	}
	for _, link := range parseYAML[[]struct{ Name, URL string }](t, about.Annotations["artifacthub.io/links"]) {
		if link.Name == "" || !strings.HasPrefix(link.URL, about.Home) {
			t.Errorf("link %+v", link)
		}
	}
	images := parseYAML[[]struct{ Name, Image string }](t, about.Annotations["artifacthub.io/images"])
	rendered, err := helm(t, "template", "store", store, "--set", "infrastructure.loadgen.enabled=true,"+generate)
	if err != nil {
		t.Fatal(err)
	}
	if len(images) != 5 {
		t.Errorf("%d images", len(images))
	}
	for _, i := range images {
		if !strings.Contains(rendered, "image: "+i.Image+"\n") {
			t.Errorf("nothing runs %s", i.Image)
		}
	}
}

// TestDescriptionNamesTheDefinitions compares the annotation with the definitions themselves.
func TestDescriptionNamesTheDefinitions(t *testing.T) {
	t.Parallel()
	described := parseYAML[[]definition](t, read[description](t, store+"/Chart.yaml").Annotations["artifacthub.io/crds"])
	var got, want []definition
	for _, d := range described {
		if d.DisplayName == "" || d.Description == "" {
			t.Errorf("%s is not described", d.Kind)
		}
		got = append(got, definition{Kind: d.Kind, Version: d.Version, Name: d.Name})
	}
	files, err := filepath.Glob(operator + "/crds/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		crd := read[apiextensionsv1.CustomResourceDefinition](t, file)
		want = append(want, definition{Kind: crd.Spec.Names.Kind, Version: crd.Spec.Versions[0].Name, Name: crd.Name})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func read[T any](t *testing.T, file string) T {
	t.Helper()
	return parseYAML[T](t, content(t, file))
}

func content(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func parseYAML[T any](t *testing.T, text string) T {
	t.Helper()
	var parsed T
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}
