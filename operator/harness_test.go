package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/ports"
)

func TestMain(m *testing.M) {
	os.Exit(controlplane.With(database.With(kafka.StopAfter(m), nil), "../k8s/operator/crds").Run())
}

// limit bounds each wait, generously for machines under load.
const limit = 2 * time.Minute

// cluster is a namespace of a real API server for one test, accessed as an administrator.
type cluster struct {
	client.WithWatch

	t         *testing.T
	namespace string
	logs      io.Writer // of the operators
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, eventsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	plane := controlplane.Shared(t)
	c, err := client.NewWithWatch(plane.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{WithWatch: c, t: t, namespace: plane.Namespace(t), logs: output(t)}
}

// output returns a writer for an operator's log. It drops lines after the test, because a stopped
// manager may still log.
func output(t *testing.T) io.Writer {
	t.Helper()
	o := &testOutput{to: t.Output()}
	t.Cleanup(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.to = io.Discard
	})
	return o
}

type testOutput struct {
	mu sync.Mutex
	to io.Writer
}

func (o *testOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(b)
}

// operator is an operator in this process, with the permissions of its role.
type operator struct {
	ops string
	// stop shuts it down. It is also called when the test ends.
	stop func()
}

// settings returns settings of an operator for the namespace, with short intervals.
func (c *cluster) settings(change ...func(*Settings)) Settings {
	c.t.Helper()
	free, err := ports.Free(c.t.Context(), 1)
	if err != nil {
		c.t.Fatal(err)
	}
	plane := controlplane.Shared(c.t)
	s, err := settings.Parse[Settings]([]string{
		"WATCH_NAMESPACES=" + c.namespace, "KUBECONFIG=" + plane.Kubeconfig(c.t, plane.Grant(c.t, c.namespace, "../k8s/operator/role.yaml")),
		"RESYNC=1s", "MAX_BACKOFF=2s", "LEASE_DURATION=3s", fmt.Sprintf("OPS_ADDR=127.0.0.1:%d", free[0]), "SHUTDOWN_TIMEOUT=20s",
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

// operate starts an operator for the namespace.
func (c *cluster) operate(change ...func(*Settings)) *operator {
	c.t.Helper()
	s := c.settings(change...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	p := process.New("operator", s.Process, c.logs)
	go func() { ended <- run(ctx, s, p) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				c.t.Errorf("the operator returned %v", err)
			}
		case <-time.After(limit):
			c.t.Error("the operator does not stop")
		}
	}
	c.t.Cleanup(stop)
	return &operator{ops: "http://" + s.Process.OpsAddr, stop: stop}
}

// meta returns the metadata of an object in the namespace.
func (c *cluster) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: c.namespace}
}

// must creates an object. The test fails if that fails.
func (c *cluster) must(obj client.Object) {
	c.t.Helper()
	if err := c.Create(c.t.Context(), obj); err != nil {
		c.t.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
	}
}

// change reads an object, changes it and writes it.
func change[T client.Object](c *cluster, obj T, edit func(T)) {
	c.t.Helper()
	if err := c.Get(c.t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
		c.t.Fatalf("read %T %s: %v", obj, obj.GetName(), err)
	}
	before, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		c.t.Fatalf("%T is not an object", obj)
	}
	edit(obj)
	if err := c.Patch(c.t.Context(), obj, client.MergeFrom(before)); err != nil {
		c.t.Fatalf("change %T %s: %v", obj, obj.GetName(), err)
	}
}

// await watches an object until ok returns true, and returns it.
func await[T report.Object](c *cluster, obj T, list client.ObjectList, what string, ok func(T) bool) T {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	watch, err := c.Watch(ctx, list, &client.ListOptions{
		Namespace: c.namespace, FieldSelector: fields.OneTermEqualSelector("metadata.name", obj.GetName()),
	})
	if err != nil {
		c.t.Fatalf("watch %s: %v", obj.GetName(), err)
	}
	defer watch.Stop()
	var last T
	for event := range watch.ResultChan() { // the first event has the current state
		if seen, is := event.Object.(T); is {
			if last = seen; ok(seen) {
				return seen
			}
		}
	}
	c.t.Fatalf("%s did not become %s; its last state: %+v", obj.GetName(), what, last)
	return last
}

// awaitTopic waits until the Ready condition of a KafkaTopic has a status and a reason, for its
// current generation.
func (c *cluster) awaitTopic(topic *v1alpha1.KafkaTopic, ready bool, reason string) *v1alpha1.KafkaTopic {
	c.t.Helper()
	return await(c, topic, new(v1alpha1.KafkaTopicList), fmt.Sprintf("ready %t, %s", ready, reason),
		func(t *v1alpha1.KafkaTopic) bool { return is(t, v1alpha1.Ready, ready, reason) })
}

// awaitSchema does the same for a DatabaseSchema.
func (c *cluster) awaitSchema(s *v1alpha1.DatabaseSchema, ready bool, reason string) *v1alpha1.DatabaseSchema {
	c.t.Helper()
	return await(c, s, new(v1alpha1.DatabaseSchemaList), fmt.Sprintf("ready %t, %s", ready, reason),
		func(s *v1alpha1.DatabaseSchema) bool { return is(s, v1alpha1.Ready, ready, reason) })
}

// is reports whether an object has a condition, observed for its current generation.
func is(obj report.Object, kind string, status bool, reason string) bool {
	c := meta.FindStatusCondition(*obj.StatusConditions(), kind)
	return c != nil && (c.Status == metav1.ConditionTrue) == status && c.Reason == reason && c.ObservedGeneration == obj.GetGeneration()
}

// message returns the message of an object's Ready condition.
func message(obj report.Object) string {
	if c := meta.FindStatusCondition(*obj.StatusConditions(), v1alpha1.Ready); c != nil {
		return c.Message
	}
	return ""
}

// awaitEvent waits for an event about an object.
func (c *cluster) awaitEvent(obj client.Object, reason string) eventsv1.Event {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	watch, err := c.Watch(ctx, new(eventsv1.EventList), client.InNamespace(c.namespace))
	if err != nil {
		c.t.Fatalf("watch events: %v", err)
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		if e, ok := event.Object.(*eventsv1.Event); ok && e.Regarding.Name == obj.GetName() && e.Reason == reason {
			return *e
		}
	}
	c.t.Fatalf("no event %s about %s", reason, obj.GetName())
	return eventsv1.Event{}
}

// metric returns the sum of the samples of a metric (of a histogram, its count) with these labels.
func (o *operator) metric(t *testing.T, name string, labels map[string]string) float64 {
	t.Helper()
	read, err := metrics.Read(t.Context(), o.ops)
	if err != nil {
		t.Fatal(err)
	}
	return read.Sum(name, labels)
}
