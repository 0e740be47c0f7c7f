package controlplane_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/test/controlplane"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(controlplane.With(m, "testdata")) }

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func configMap(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string]string{"colour": "black"},
	}
}

func TestObjectsAreStored(t *testing.T) {
	t.Parallel()
	plane := controlplane.Shared(t)
	c, one, two := newClient(t, plane.Config()), plane.Namespace(t), plane.Namespace(t)

	if err := c.Create(t.Context(), configMap(one, "mug")); err != nil {
		t.Fatal(err)
	}

	var got corev1.ConfigMap
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: one, Name: "mug"}, &got); err != nil || got.Data["colour"] != "black" {
		t.Errorf("read %v, %v", got.Data, err)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: two, Name: "mug"}, &got); !apierrors.IsNotFound(err) {
		t.Errorf("in the other namespace: %v", err)
	}
}

func TestCustomResourcesAreServedAndValidated(t *testing.T) {
	t.Parallel()
	plane := controlplane.Shared(t)
	c, namespace := newClient(t, plane.Config()), plane.Namespace(t)
	mug := func(name string, millilitres int64) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "test.merchstore.io/v1", "kind": "Mug",
			"metadata": map[string]any{"namespace": namespace, "name": name},
			"spec":     map[string]any{"millilitres": millilitres},
		}}
	}

	if err := c.Create(t.Context(), mug("large", 500)); err != nil {
		t.Error(err)
	}
	if err := c.Create(t.Context(), mug("thimble", 2)); !apierrors.IsInvalid(err) {
		t.Errorf("a mug that is too small: %v", err)
	}
}

func TestInstallCRDsRejectsInvalidFolders(t *testing.T) {
	t.Parallel()
	plane := controlplane.Shared(t)
	good, err := os.ReadFile("testdata/mugs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, content, want string }{
		"no YAML file":           {"README", "", "no YAML files"},
		"another kind":           {"a.yaml", "apiVersion: v1\nkind: ConfigMap\n", "found a *v1.ConfigMap"},
		"an unknown field":       {"a.yaml", strings.Replace(string(good), "scope:", "scoop:", 1), `unknown field "spec.scoop"`},
		"an existing definition": {"a.yaml", string(good), "already exists"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			writeFile(t, filepath.Join(folder, c.file), c.content)
			if err := plane.InstallCRDs(t.Context(), folder); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestStopLeavesNoProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Now()
	plane, err := controlplane.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(began).Round(time.Millisecond))
	if n := len(processes(t, dir)); n != 2 {
		t.Errorf("%d processes run, want etcd and the API server", n)
	}
	// A watch that is still open when the API server stops.
	c, err := client.NewWithWatch(plane.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := c.Watch(t.Context(), new(corev1.NamespaceList))
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()

	began = time.Now()
	for range 2 { // the second call has no effect
		if err := plane.Stop(); err != nil {
			t.Fatal(err)
		}
	}

	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
	if left := processes(t, dir); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
}

func TestFailedStartReportsTheLogAndLeavesNoProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := controlplane.Start(t.Context(), dir, controlplane.WithFlag("authorization-mode", "Goodwill"))
	if err == nil || !strings.Contains(err.Error(), "Goodwill") {
		t.Errorf("error is %v, want the API server's log", err)
	}
	if left := processes(t, dir); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
}

func TestUnauthenticatedRequestsAreRejected(t *testing.T) {
	t.Parallel()
	plane := controlplane.Shared(t)
	namespace := plane.Namespace(t)
	nobody := rest.AnonymousClientConfig(plane.Config())

	err := newClient(t, nobody).Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "mug"}, new(corev1.ConfigMap))
	if !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	for _, program := range []struct{ name, project, module string }{
		{"etcd", "etcd", "go.etcd.io/etcd/server/v3"},
		{"kube-apiserver", "kubernetes", "k8s.io/kubernetes"},
	} {
		version := pinned(t, program.project, program.module)
		_, err := controlplane.Start(t.Context(), t.TempDir())
		want := program.name + " " + version + " is not built yet: run `make kubernetes`"
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error is %v, want %s", err, want)
		}
		folder := filepath.Join(cache, "merchstore", program.project+"-"+version)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(folder, program.name), "") // so that the next one is missing
	}
}

// pinned returns the version of a module that tools/build-kubernetes builds.
func pinned(t *testing.T, project, module string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../../tools", project, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "require ")
		if version, found := strings.CutPrefix(line, module+" v"); found {
			return "v" + strings.Fields(version)[0]
		}
	}
	t.Fatalf("no %s in the go.mod of %s", module, project)
	return ""
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// processes returns the command lines of all processes that use files of a folder.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file) // fails if the process has ended
		if err == nil && strings.Contains(string(line), dir) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
