package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
)

// TestSamples applies the samples, with other addresses in their Secrets.
func TestSamples(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	addresses := map[string]any{"bootstrapServers": kafka.Shared(t).Addr(), "url": database.Empty(t)}

	files, err := filepath.Glob("../k8s/samples/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("samples: %v, %v", files, err)
	}
	kinds := map[string]int{}
	for _, file := range files {
		for _, obj := range objects(t, file) {
			kinds[obj.GetKind()]++
			if values, ok, _ := unstructured.NestedMap(obj.Object, "stringData"); ok {
				for key := range values {
					values[key] = addresses[key]
				}
				if err := unstructured.SetNestedMap(obj.Object, values, "stringData"); err != nil {
					t.Fatal(err)
				}
			}
			obj.SetNamespace(c.namespace)
			if err := c.Create(t.Context(), obj, client.FieldValidation("Strict")); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
	}
	if kinds["KafkaTopic"] != 1 || kinds["DatabaseSchema"] != 1 {
		t.Fatalf("the samples have %v, want one of each kind that the operator knows", kinds)
	}
	topic := c.awaitTopic(&v1alpha1.KafkaTopic{ObjectMeta: c.meta("log-channel")}, true, v1alpha1.ReasonAsDeclared)
	if topic.Status.Partitions != 3 {
		t.Errorf("log-channel has %d partitions, want 3", topic.Status.Partitions)
	}
	schema := c.awaitSchema(&v1alpha1.DatabaseSchema{ObjectMeta: c.meta("store")}, true, v1alpha1.ReasonUpToDate)
	if schema.Status.Version != 2 || schema.Status.Pending != 0 {
		t.Errorf("the schema is at %d with %d pending, want 2 and 0", schema.Status.Version, schema.Status.Pending)
	}
}

// objects reads a YAML file with several documents.
func objects(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), len(content))
	var all []*unstructured.Unstructured
	for {
		obj := new(unstructured.Unstructured)
		switch err := decoder.Decode(obj); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("read %s: %v", file, err)
		case len(obj.Object) > 0:
			all = append(all, obj)
		}
	}
}
