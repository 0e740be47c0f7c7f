package controlplane_test

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/test/controlplane"
)

const role = `---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: writer
  namespace: somewhere-else
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [create, get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: reader
rules:
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [known]
    verbs: [get]
`

func roleFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "role.yaml")
	writeFile(t, path, role)
	return path
}

// checkPermissions tries what the role allows in a namespace, and what it does not allow.
func checkPermissions(t *testing.T, config *rest.Config, namespace, other string) {
	t.Helper()
	c := newClient(t, config)
	secret := func(name string) error {
		return c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, new(corev1.Secret))
	}
	mug := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "mug-"}}
	if err := c.Create(t.Context(), mug); err != nil {
		t.Errorf("create a ConfigMap: %v", err)
	}
	if err := secret("known"); !apierrors.IsNotFound(err) { // allowed, but it does not exist
		t.Errorf("get the Secret: %v", err)
	}
	for what, err := range map[string]error{
		"create in another namespace": c.Create(t.Context(), configMap(other, "mug")),
		"list ConfigMaps":             c.List(t.Context(), new(corev1.ConfigMapList), client.InNamespace(namespace)),
		"delete a ConfigMap":          c.Delete(t.Context(), configMap(namespace, "mug")),
		"get another Secret":          secret("unknown"),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want it forbidden", what, err)
		}
	}
}

func TestGrantGivesThePermissionsOfTheRole(t *testing.T) {
	t.Parallel()
	plane := controlplane.Shared(t)
	namespace, other, file := plane.Namespace(t), plane.Namespace(t), roleFile(t)
	for range 2 { // the same file twice: two users
		checkPermissions(t, plane.Grant(t, namespace, file), namespace, other)
	}
}

func TestKubeconfigHasTheSameAccess(t *testing.T) {
	t.Parallel()
	plane := controlplane.Shared(t)
	namespace, other := plane.Namespace(t), plane.Namespace(t)

	path := plane.Kubeconfig(t, plane.Grant(t, namespace, roleFile(t)))

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o of a file with a key", mode)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	checkPermissions(t, config, namespace, other)
}
