// Package report publishes the result of a reconcile in the object's status, its events and the
// metrics. It writes only changes.
package report

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// Object is an object with conditions.
type Object interface {
	client.Object
	StatusConditions() *[]metav1.Condition
}

// Reporter reports on objects of one kind.
type Reporter struct {
	kind    string
	client  client.Client
	events  events.EventRecorder
	metrics *Metrics
}

// New returns a Reporter for a kind.
func New(kind string, c client.Client, e events.EventRecorder, m *Metrics) *Reporter {
	return &Reporter{kind: kind, client: c, events: e, metrics: m}
}

// Set sets a condition of obj in memory, observed for its current generation.
func Set(obj Object, kind string, status bool, reason, message string) {
	c := metav1.Condition{
		Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: Truncate(message, maxMessage), ObservedGeneration: obj.GetGeneration(),
	}
	if status {
		c.Status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(obj.StatusConditions(), c)
}

// maxMessage is in characters. The API server accepts 32768 in a condition.
const maxMessage = 2000

// Truncate shortens text to at most limit characters.
func Truncate(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}

// Write patches the status if now differs from before, and emits an event if the condition Ready or
// its reason has changed. It fails if the object was written meanwhile.
func (r *Reporter) Write(ctx context.Context, before, now Object) error {
	ready := meta.FindStatusCondition(*now.StatusConditions(), v1alpha1.Ready)
	r.metrics.setReady(r.kind, now, ready != nil && ready.Status == metav1.ConditionTrue)
	if equality.Semantic.DeepEqual(before, now) {
		return nil
	}
	was := meta.FindStatusCondition(*before.StatusConditions(), v1alpha1.Ready)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Status().Patch(ctx, now, patch); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	if ready != nil && (was == nil || was.Status != ready.Status || was.Reason != ready.Reason) {
		if ready.Status == metav1.ConditionTrue {
			r.Normal(now, ready.Reason, ready.Message)
		} else {
			r.Warning(now, ready.Reason, ready.Message)
		}
	}
	return nil
}

// maxNote is in characters, of up to four bytes each. The API server accepts 1024 bytes in an event.
const maxNote = 250

func (r *Reporter) event(obj Object, kind, reason, message string) {
	r.events.Eventf(obj, nil, kind, reason, "Reconcile", "%s", Truncate(message, maxNote))
}

// Normal emits a normal event.
func (r *Reporter) Normal(obj Object, reason, message string) {
	r.event(obj, corev1.EventTypeNormal, reason, message)
}

// Warning emits a warning event.
func (r *Reporter) Warning(obj Object, reason, message string) {
	r.event(obj, corev1.EventTypeWarning, reason, message)
}

// Corrected counts a correction of a change by others, and emits a warning event.
func (r *Reporter) Corrected(obj Object, reason, message string) {
	r.metrics.corrections.WithLabelValues(r.kind, obj.GetNamespace(), obj.GetName()).Inc()
	r.Warning(obj, reason, message)
}

// Forget removes the metrics of an object that is gone.
func (r *Reporter) Forget(key client.ObjectKey) {
	labels := prometheus.Labels{"kind": r.kind, "namespace": key.Namespace, "name": key.Name}
	for _, metric := range []interface {
		Delete(labels prometheus.Labels) bool
	}{
		r.metrics.ready, r.metrics.corrections, r.metrics.changed, r.metrics.expiry,
	} {
		metric.Delete(labels)
	}
}
