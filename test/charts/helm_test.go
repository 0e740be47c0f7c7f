//go:build e2e

// Package charts tests the Helm charts: what they render, which values they reject, and whether a
// real API server accepts the objects.
package charts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
)

const (
	store          = "../../charts/merchstore"
	operator       = "../../charts/operator"
	infrastructure = "../../charts/infrastructure"
)

// valueSets are the values that the tests run with.
var valueSets = map[string][]string{
	"no values":         nil,
	"every other value": {"--values", store + "/ci/everything-values.yaml"},
	"minimal":           {"--values", store + "/ci/small-values.yaml"},
	"production":        {"--values", store + "/values-production.yaml"},
	"OpenShift":         {"--values", store + "/values-openshift.yaml"},
}

func TestMain(m *testing.M) {
	os.Exit(controlplane.With(m, "../../charts/merchstore/charts/operator/crds", controlplane.GatewayAPI).Run())
}

// helm runs the pinned helm, with no settings but those of the test.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program, err := filepath.Abs("../../.bin/helm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("helm is not built yet, `make verify-charts` builds it: %v", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	// Without a limit on requests: with helm's own, an installation waits for seconds.
	cmd.Env = []string{"HOME=" + t.TempDir(), "HELM_QPS=-1", "GOGC=400"}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("helm %v: %w\n%s", args, err, stderr.String())
	}
	return stdout.String(), nil
}

// generate allows secrets to be generated without a cluster.
const generate = "global.generateSecrets=true"

// render renders a chart for a release named store, without a cluster.
func render(t *testing.T, chart string, args ...string) objects {
	t.Helper()
	out, err := helm(t, append([]string{"template", "store", chart, "--namespace", "shop", "--set", generate}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, out)
}

// objects are the objects of a manifest.
type objects []client.Object

// parse decodes a manifest strictly: an unknown field or a duplicate key fails the test.
func parse(t *testing.T, manifest string) objects {
	t.Helper()
	decoder := serializer.NewCodecFactory(newScheme(t), serializer.EnableStrict).UniversalDeserializer()
	var all objects
	for _, document := range documents(t, manifest) {
		decoded, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		object, ok := decoded.(client.Object)
		if !ok {
			t.Fatalf("%T is not an object", decoded)
		}
		all = append(all, object)
	}
	return all
}

// unchecked decodes a manifest without validation.
func unchecked(t *testing.T, manifest string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, document := range documents(t, manifest) {
		u := new(unstructured.Unstructured)
		if err := yaml.Unmarshal(document, &u.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		all = append(all, u)
	}
	return all
}

func documents(t *testing.T, manifest string) [][]byte {
	t.Helper()
	var all [][]byte
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewBufferString(manifest)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if json, err := yaml.ToJSON(document); err == nil && string(json) != "null" {
			all = append(all, document)
		}
	}
}

var scheme = sync.OnceValues(func() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s), gatewayv1.Install(s))
})

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s, err := scheme()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// all returns the objects of a kind.
func all[T client.Object](o objects) []T {
	var found []T
	for _, object := range o {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

// find returns the object of a kind with this name. The test fails if there is none.
func find[T client.Object](t *testing.T, o objects, name string) T {
	t.Helper()
	found := all[T](o)
	i := slices.IndexFunc(found, func(object T) bool { return object.GetName() == name })
	if i < 0 {
		t.Fatalf("there is no %T %s", *new(T), name)
	}
	return found[i]
}

// has reports whether there is an object of a kind with this name.
func has[T client.Object](o objects, name string) bool {
	return slices.ContainsFunc(all[T](o), func(object T) bool { return object.GetName() == name })
}
