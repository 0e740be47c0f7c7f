// Package report writes what a reconcile has found where people look for it: the object's status, its events, the metrics. It
// writes when something has changed, and not otherwise.
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

// Object is one with conditions.
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

// New makes a Reporter for a kind.
func New(kind string, c client.Client, e events.EventRecorder, m *Metrics) *Reporter {
	return &Reporter{kind: kind, client: c, events: e, metrics: m}
}

// Set sets a condition of obj in memory, as seen for its present generation.
func Set(obj Object, kind string, status bool, reason, message string) {
	c := metav1.Condition{
		Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: cut(message), ObservedGeneration: obj.GetGeneration(),
	}
	if status {
		c.Status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(obj.StatusConditions(), c)
}

// maxMessage is less than the 32768 characters that the API server takes of a condition, and more than anyone reads.
const maxMessage = 2000

func cut(message string) string {
	if runes := []rune(message); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + " …"
	}
	return message
}

// Write brings the status of now to the API server if it is another than that of before, and makes an event when readiness or
// its reason has changed. An update that was made meanwhile by somebody else fails it.
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

// maxNote is what the API server takes of an event's note, in bytes.
const maxNote = 1000

func (r *Reporter) event(obj Object, kind, reason, message string) {
	if runes := []rune(message); len(runes) > maxNote/4 { // a rune has up to four bytes
		message = string(runes[:maxNote/4]) + " …"
	}
	r.events.Eventf(obj, nil, kind, reason, "Reconcile", "%s", message)
}

// Normal makes an event of something that is as it should be.
func (r *Reporter) Normal(obj Object, reason, message string) {
	r.event(obj, corev1.EventTypeNormal, reason, message)
}

// Warning makes an event of something that somebody should look at.
func (r *Reporter) Warning(obj Object, reason, message string) {
	r.event(obj, corev1.EventTypeWarning, reason, message)
}

// Corrected counts a difference that was made by hand and has been put right, and makes an event of it.
func (r *Reporter) Corrected(obj Object, reason, message string) {
	r.metrics.corrections.WithLabelValues(r.kind, obj.GetNamespace(), obj.GetName()).Inc()
	r.Warning(obj, reason, message)
}

// Forget takes an object that is gone out of the metrics.
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
