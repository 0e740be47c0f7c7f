//go:build e2e

package charts

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/test/controlplane"
)

// cluster is a namespace of a real API server that enforces the restricted Pod Security Standard.
// No controller creates pods in it.
type cluster struct {
	client.Client

	t          *testing.T
	namespace  string
	kubeconfig string
}

// ownCluster returns a cluster on a control plane that no other test changes.
func ownCluster(t *testing.T) (*cluster, *controlplane.ControlPlane) {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	return newCluster(t, plane), plane
}

func newCluster(t *testing.T, plane *controlplane.ControlPlane) *cluster {
	t.Helper()
	c, err := client.New(plane.Config(), client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	here := &cluster{Client: c, t: t, namespace: plane.Namespace(t), kubeconfig: plane.Kubeconfig(t, plane.Config())}
	namespace := new(corev1.Namespace)
	here.get(namespace, here.namespace)
	namespace.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	if err := c.Update(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return here
}

// helm runs helm on the namespace. It does not wait, because there will be no pods.
func (c *cluster) helm(args ...string) string {
	c.t.Helper()
	out, err := c.tryHelm(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *cluster) tryHelm(args ...string) (string, error) {
	c.t.Helper()
	return helm(c.t, append(args, "--namespace", c.namespace, "--kubeconfig", c.kubeconfig)...)
}

func (c *cluster) get(object client.Object, name string) {
	c.t.Helper()
	if err := c.Get(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, object); err != nil {
		c.t.Fatalf("get %T %s: %v", object, name, err)
	}
}

func (c *cluster) gone(object client.Object, name string) {
	c.t.Helper()
	if err := c.Get(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, object); !apierrors.IsNotFound(err) {
		c.t.Errorf("%T %s still exists: %v", object, name, err)
	}
}

// TestAPIServerAcceptsAllObjects installs each set of values, and validates each object strictly.
func TestAPIServerAcceptsAllObjects(t *testing.T) {
	t.Parallel()
	for name, values := range valueSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plane := controlplane.Shared(t)
			c := newCluster(t, plane)
			values := append([]string{"--set", "operator.watchNamespaces={" + c.namespace + "}"}, values...)
			if name == "every other value" {
				values = append(values, "--set", "api.service.nodePort=0") // a port can be allocated only once
			}
			c.helm(append([]string{"install", "store", store}, values...)...)
			manifest := c.helm("get", "manifest", "store")

			strict := client.WithFieldValidation(c.Client, metav1.FieldValidationStrict)
			for _, object := range unchecked(t, manifest) {
				object.SetName(object.GetName() + "-again")
				object.SetNamespace(c.namespace)
				if err := strict.Create(t.Context(), object, client.DryRunAll); err != nil {
					t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
				}
			}
			for _, w := range workloads(parse(t, manifest)) {
				if err := strict.Create(t.Context(), w.pod(c.namespace), client.DryRunAll); err != nil {
					t.Errorf("a pod of %s: %v", w.name, err)
				}
			}
		})
	}
}

// TestThePodSecurityStandardIsEnforced shows that the test above would detect a violation.
func TestThePodSecurityStandardIsEnforced(t *testing.T) {
	t.Parallel()
	c := newCluster(t, controlplane.Shared(t))
	c.helm("install", "store", store)
	for name, soften := range map[string]func(*corev1.Pod){
		"root":             func(p *corev1.Pod) { p.Spec.SecurityContext.RunAsNonRoot = nil },
		"any system call":  func(p *corev1.Pod) { p.Spec.SecurityContext.SeccompProfile = nil },
		"capabilities":     func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.Capabilities = nil },
		"more rights":      func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
		"the host's files": func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, hostVolume()) },
	} {
		pod := workloads(parse(t, c.helm("get", "manifest", "store")))[0].pod(c.namespace)
		soften(pod)
		err := c.Create(t.Context(), pod, client.DryRunAll)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "restricted") {
			t.Errorf("a pod with %s: %v", name, err)
		}
	}
}

func hostVolume() corev1.Volume {
	return corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}
}
