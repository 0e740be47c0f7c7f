package faults_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/database"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(controlplane.With(database.With(m, nil)))
}

// limit bounds each wait. It is far longer than a busy machine needs.
const limit = 2 * time.Minute

// contextName is the context in the kubeconfig of test/controlplane.
const contextName = "merchstore"

// kubectl records its arguments, runs psql on a database of the test, and passes everything else to
// the real kubectl.
const kubectl = `#!/bin/bash
printf '%%s\n' "${*//$'\n'/ }" >>'%[1]s/calls'
case "$*" in
*' -- psql '*)
	while [[ $1 != psql ]]; do shift; done
	shift 3 # psql, --username and --dbname
	exec psql '%[2]s' "$@"
	;;
*--replicas=0*)
	[[ ! -e %[1]s/refuse ]] || { echo 'this cluster does not scale' >&2; exit 1; }
	;;
esac
exec '%[3]s' --kubeconfig='%[4]s' "$@"
`

// cluster is a namespace of a real API server without controllers, whose part the test takes.
type cluster struct {
	client.Client

	t         *testing.T
	namespace string
	dir       string
}

func newCluster(t *testing.T, databaseURL string) *cluster {
	t.Helper()
	plane := controlplane.Shared(t)
	api, err := client.New(plane.Config(), client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	path, err := controlplane.Program("kubectl")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Client: api, t: t, namespace: plane.Namespace(t), dir: t.TempDir()}
	script := fmt.Sprintf(kubectl, c.dir, databaseURL, path, plane.Kubeconfig(t, plane.Config()))
	if err := os.WriteFile(c.kubectl(), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) kubectl() string { return filepath.Join(c.dir, "kubectl") }

// changes returns the kubectl commands so far that are not mere reads.
func (c *cluster) changes() (commands []string) {
	c.t.Helper()
	all, err := os.ReadFile(filepath.Join(c.dir, "calls"))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(strings.TrimSpace(string(all))) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "--context="+contextName+" --namespace="+c.namespace+" ")
		switch {
		case strings.Contains(" "+line, " config view "): // reads only the kubeconfig
		case !ok:
			c.t.Errorf("this command may reach another cluster: %s", line)
		case !strings.HasPrefix(line, "get "):
			commands = append(commands, line)
		}
	}
	return commands
}

func (c *cluster) create(o client.Object) {
	c.t.Helper()
	o.SetNamespace(c.namespace)
	if err := c.Create(c.t.Context(), o); err != nil {
		c.t.Fatal(err)
	}
}

func labels(component string) map[string]string {
	return map[string]string{"app.kubernetes.io/instance": "store", "app.kubernetes.io/name": component}
}

func template(component string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels(component)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: component, Image: component}}},
	}
}

// statefulSet creates a StatefulSet whose replicas become ready at once, until the test ends.
func (c *cluster) statefulSet(component string, replicas int32) {
	c.t.Helper()
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "store-" + component, Labels: labels(component)},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels(component)}, Template: template(component),
		},
	}
	c.create(set)
	c.reconcile(func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil || set.Status.ObservedGeneration == set.Generation {
			return err
		}
		n := *set.Spec.Replicas
		set.Status = appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, Replicas: n, ReadyReplicas: n, UpdatedReplicas: n}
		return c.Status().Update(ctx, set)
	})
}

// deployment creates a Deployment that is ready.
func (c *cluster) deployment(component string) {
	c.t.Helper()
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "store-" + component, Labels: labels(component)},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels(component)}, Template: template(component)},
	}
	c.create(d)
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1,
	}
	if err := c.Status().Update(c.t.Context(), d); err != nil {
		c.t.Fatal(err)
	}
}

// pods creates pods by name and component. Nothing runs or replaces them.
func (c *cluster) pods(components map[string]string) {
	c.t.Helper()
	for name, component := range components {
		pod := template(component)
		c.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: pod.Labels}, Spec: pod.Spec})
	}
}

// reconcile calls a controller's function repeatedly until the test ends.
func (c *cluster) reconcile(reconcile func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if err := reconcile(ctx); client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
				c.t.Logf("reconcile: %v", err)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	}()
	c.t.Cleanup(func() {
		stop()
		<-ended
	})
}

// kafka returns the number of brokers, and the annotation that stores the number before the fault.
func (c *cluster) kafka() (replicas int32, annotation string) {
	c.t.Helper()
	var set appsv1.StatefulSet
	if err := c.Get(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: "store-kafka"}, &set); err != nil {
		c.t.Fatal(err)
	}
	return *set.Spec.Replicas, set.Annotations["merchstore.io/replicas-before-fault"]
}
