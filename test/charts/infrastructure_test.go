//go:build e2e

package charts

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// TestPrometheusAcceptsItsConfiguration uses promtool of the version that the chart installs.
func TestPrometheusAcceptsItsConfiguration(t *testing.T) {
	t.Parallel()
	promtool, err := filepath.Abs("../../.bin/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(promtool); err != nil {
		t.Fatalf("promtool is not built yet, `make test-charts` builds it: %v", err)
	}
	for name, values := range valueSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := render(t, store, values...)
			if !has[*appsv1.StatefulSet](o, "store-prometheus") {
				return
			}
			dir := t.TempDir()
			config := find[*corev1.ConfigMap](t, o, "store-prometheus").Data["prometheus.yml"]
			config = strings.ReplaceAll(config, "/rules/", dir+"/rules/")
			given := map[string]string{"prometheus.yml": config}
			if has[*corev1.ConfigMap](o, "store-rules") {
				for file, content := range find[*corev1.ConfigMap](t, o, "store-rules").Data {
					given["rules/"+file] = content
				}
			}
			for _, file := range slices.Sorted(maps.Keys(given)) {
				path := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(given[file]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if output, err := exec.CommandContext(t.Context(), promtool, "check", "config", dir+"/prometheus.yml").CombinedOutput(); err != nil {
				t.Errorf("%v\n%s\n%s", err, output, config)
			}
		})
	}
}

func TestPrometheusMayListOnlyThePodsOfItsNamespace(t *testing.T) {
	t.Parallel()
	o := render(t, store)
	want := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}}}
	if diff := cmp.Diff(want, find[*rbacv1.Role](t, o, "store-prometheus").Rules); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	binding := find[*rbacv1.RoleBinding](t, o, "store-prometheus")
	if len(binding.Subjects) != 1 || binding.Subjects[0].Name != "store-prometheus" || binding.RoleRef.Name != "store-prometheus" {
		t.Errorf("given to %v: %v", binding.Subjects, binding.RoleRef)
	}
}

func TestTheLoadGeneratorIsOptional(t *testing.T) {
	t.Parallel()
	if has[*appsv1.Deployment](render(t, store), "store-loadgen") {
		t.Error("it is there by default")
	}
	o := render(t, store, "--set", "infrastructure.loadgen.enabled=true,infrastructure.loadgen.rate=2.5,global.imageTag=v3")
	pod := find[*appsv1.Deployment](t, o, "store-loadgen").Spec.Template
	variables := env(pod)
	for name, want := range map[string]string{"STORE_URL": "http://store-api:8081", "USERS": "10", "RATE": "2.5", "GOMEMLIMIT": "115MiB"} {
		if got := variables[name].Value; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if image := pod.Spec.Containers[0].Image; image != "merchstore/loadgen:v3" || pod.Annotations["prometheus.io/scrape"] != "true" {
		t.Errorf("image %s, annotations %v", image, pod.Annotations)
	}
}
