package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/kafka"
)

const (
	topics            = 200
	convergence       = 5 * time.Minute // timeout of convergence
	settling          = 3 * time.Second
	observedFor       = 5 * time.Minute // of a converged cluster, at the default resync
	operatorNamespace = "bench"
)

// operator measures how fast the operator creates topics, and what it does once they have
// converged.
func (b *bench) operator(ctx context.Context) (err error) {
	ctrllog.SetLogger(logr.Discard()) // otherwise the client logs that it has no logger
	plane, err := controlplane.Start(ctx, filepath.Join(b.dir, "controlplane"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	if err := plane.InstallCRDs(ctx, "k8s/operator/crds"); err != nil {
		return err
	}
	kubeconfig := filepath.Join(b.dir, "kubeconfig")
	if err := controlplane.WriteKubeconfig(kubeconfig, plane.Config()); err != nil {
		return err
	}
	broker, err := kafka.Start(ctx, filepath.Join(b.dir, "kafka-for-topics"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Stop()) }()
	c, err := newClient(plane)
	if err != nil {
		return err
	}
	if err := declareTopics(ctx, c, broker.Addr()); err != nil {
		return err
	}
	ops := b.addrs["operator-ops"]
	err = b.programs.start(ctx, "operator", "", ops, "build/bin/operator", nil,
		"WATCH_NAMESPACES="+operatorNamespace, "KUBECONFIG="+kubeconfig, "OPS_ADDR="+ops)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := awaitTopics(ctx, c); err != nil {
		return err
	}
	took := time.Since(began)
	if err := pause(ctx, settling); err != nil { // the last status may be visible before it is counted
		return err
	}
	converged, err := scrape(ctx, ops)
	if err != nil {
		return err
	}
	b.report.note("operator: %d topics converged in %.1f s, %.0f reconciles/s", topics, took.Seconds(), converged.reconciles()/took.Seconds())
	b.report.note("operator: calls until then: %s", converged)
	if err := pause(ctx, observedFor); err != nil {
		return err
	}
	later, err := scrape(ctx, ops)
	if err != nil {
		return err
	}
	b.report.note("operator: calls in the %s after convergence, %.0f reconciles: %s", observedFor, later.reconciles()-converged.reconciles(), later.since(converged))
	return b.programs.stop("operator")
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newClient(plane *controlplane.ControlPlane) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("create scheme: %w", err)
	}
	c, err := client.NewWithWatch(plane.Config(), client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("create client: %w", err)
	}
	return c, nil
}

func declareTopics(ctx context.Context, c client.Client, bootstrap string) error {
	if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}); err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	for i := range topics {
		topic := &v1alpha1.KafkaTopic{
			ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: fmt.Sprintf("topic-%03d", i)},
			Spec: v1alpha1.KafkaTopicSpec{
				Connection: v1alpha1.KafkaConnection{BootstrapServers: bootstrap},
				Partitions: 1, ReplicationFactor: 1, Config: map[string]v1alpha1.ConfigValue{"retention.ms": "3600000"},
			},
		}
		if err := c.Create(ctx, topic); err != nil {
			return fmt.Errorf("create topic: %w", err)
		}
	}
	return nil
}

// awaitTopics waits until all topics are ready.
func awaitTopics(ctx context.Context, c client.WithWatch) error {
	ctx, cancel := context.WithTimeout(ctx, convergence)
	defer cancel()
	watch, err := c.Watch(ctx, new(v1alpha1.KafkaTopicList), client.InNamespace(operatorNamespace))
	if err != nil {
		return fmt.Errorf("watch topics: %w", err)
	}
	defer watch.Stop()
	ready := map[string]bool{}
	for event := range watch.ResultChan() {
		if t, ok := event.Object.(*v1alpha1.KafkaTopic); ok && meta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.Ready) {
			ready[t.Name] = true
		}
		if len(ready) == topics {
			return nil
		}
	}
	return fmt.Errorf("%d of %d topics are ready after %s", len(ready), topics, convergence)
}
