//go:build e2e

package charts

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestDifferentDefinitionsAreRejected uses its own control plane, because definitions are
// cluster-scoped.
func TestDifferentDefinitionsAreRejected(t *testing.T) {
	t.Parallel()
	c, _ := ownCluster(t)
	c.helm("install", "store", store) // on an empty cluster
	c.change("kafkatopics.merchstore.io", "an older description")

	const want = "the cluster's definition kafkatopics.merchstore.io is not this chart's"
	if _, err := c.tryHelm("upgrade", "store", store); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("an upgrade: %v", err)
	}
	if _, err := c.tryHelm("install", "other", store); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("an install: %v", err)
	}
	c.helm("upgrade", "store", store, "--set", "operator.checkDefinitions=false")

	definitions, err := helm(t, "show", "crds", store)
	if err != nil {
		t.Fatal(err)
	}
	for _, definition := range unchecked(t, definitions) { // as the error says
		live := definitionObject()
		c.get(live, definition.GetName())
		definition.SetResourceVersion(live.GetResourceVersion())
		if err := c.Update(t.Context(), definition); err != nil {
			t.Fatal(err)
		}
	}
	c.helm("upgrade", "store", store)

	c.helm("uninstall", "store")
	c.get(definitionObject(), "kafkatopics.merchstore.io") // deleting it would delete all topics
}

func (c *cluster) change(definition, description string) {
	c.t.Helper()
	live := definitionObject()
	c.get(live, definition)
	versions, _, err := unstructured.NestedSlice(live.Object, "spec", "versions")
	if err != nil {
		c.t.Fatal(err)
	}
	version := versions[0].(map[string]any)
	if err := unstructured.SetNestedField(version, description, "schema", "openAPIV3Schema", "description"); err != nil {
		c.t.Fatal(err)
	}
	if err := unstructured.SetNestedSlice(live.Object, versions, "spec", "versions"); err != nil {
		c.t.Fatal(err)
	}
	if err := c.Update(c.t.Context(), live); err != nil {
		c.t.Fatal(err)
	}
}

func definitionObject() *unstructured.Unstructured {
	u := new(unstructured.Unstructured)
	u.SetAPIVersion("apiextensions.k8s.io/v1")
	u.SetKind("CustomResourceDefinition")
	return u
}
