package kafkatopic

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
)

// scope is the object of one reconcile, with changes that may not be written yet.
type scope struct {
	*v1alpha1.KafkaTopic

	original *v1alpha1.KafkaTopic // as last read or written
}

func newScope(t *v1alpha1.KafkaTopic) *scope { return &scope{KafkaTopic: t, original: t.DeepCopy()} }

// setResult sets the conditions of a topic that exists.
func (s *scope) setResult(p plan) {
	s.Status.ObservedGeneration, s.Status.TopicName = s.Generation, s.Topic()
	report.Set(s, v1alpha1.Ready, true, p.reason, p.message)
	report.Set(s, v1alpha1.Synced, p.reason == v1alpha1.ReasonAsDeclared, p.reason, p.message)
}

// setProblem sets the conditions of a topic that has a problem. Synced keeps the last known state
// unless Kafka answered. A message that differs from the previous one in addresses and numbers only
// does not replace it, so that retries do not write the object.
func (s *scope) setProblem(p *problem) {
	s.Status.ObservedGeneration, s.Status.TopicName = s.Generation, s.Topic()
	message := p.message
	if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.Ready); c != nil && p.reason == v1alpha1.ReasonUnreachable &&
		normalizeMessage(c.Message) == normalizeMessage(message) {
		message = c.Message
	}
	report.Set(s, v1alpha1.Ready, false, p.reason, message)
	if p.reason == v1alpha1.ReasonConflict || p.reason == v1alpha1.ReasonRefused {
		report.Set(s, v1alpha1.Synced, false, p.reason, message)
	}
}

// patchStatus writes the status. It fails if the object was written since it was read.
func (r *Reconciler) patchStatus(ctx context.Context, s *scope) error {
	if err := r.report.Write(ctx, s.original, s.KafkaTopic); err != nil {
		return err //nolint:wrapcheck // it says what was being done
	}
	s.original = s.DeepCopy()
	return nil
}

// patchStatusAfterChange writes the status even if the spec was written since it was read: Kafka
// has been changed, and the status must record that.
func (r *Reconciler) patchStatusAfterChange(ctx context.Context, s *scope) error {
	err := r.patchStatus(ctx, s)
	if !apierrors.IsConflict(err) {
		return err
	}
	current := new(v1alpha1.KafkaTopic)
	if err := r.uncached.Get(ctx, client.ObjectKeyFromObject(s), current); err != nil {
		return fmt.Errorf("read KafkaTopic: %w", err)
	}
	if current.UID != s.UID {
		return errStale
	}
	s.original = current.DeepCopy()
	current.Status = s.Status
	s.KafkaTopic = current
	return r.patchStatus(ctx, s)
}

// verifyUncached returns errStale if the object differs from what the API server holds: the cache
// may lag behind, and Kafka must not be changed for an outdated spec.
func (r *Reconciler) verifyUncached(ctx context.Context, s *scope) error {
	current := new(v1alpha1.KafkaTopic)
	if err := r.uncached.Get(ctx, client.ObjectKeyFromObject(s), current); err != nil {
		return fmt.Errorf("read KafkaTopic: %w", err)
	}
	if current.UID != s.UID || current.ResourceVersion != s.ResourceVersion {
		return errStale
	}
	return nil
}

func (r *Reconciler) addFinalizer(ctx context.Context, s *scope) error {
	if !controllerutil.AddFinalizer(s, finalizer) {
		return nil
	}
	return r.patchFinalizers(ctx, s)
}

func (r *Reconciler) removeFinalizer(ctx context.Context, s *scope) error {
	if !controllerutil.RemoveFinalizer(s, finalizer) {
		return nil
	}
	return r.patchFinalizers(ctx, s)
}

// patchFinalizers must be called before the status is changed.
func (r *Reconciler) patchFinalizers(ctx context.Context, s *scope) error {
	patch := client.MergeFromWithOptions(s.original, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, s.KafkaTopic, patch); err != nil {
		return fmt.Errorf("write finalizers: %w", err)
	}
	s.original = s.DeepCopy()
	return nil
}
