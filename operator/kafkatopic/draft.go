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

// draft is an object as it is to be.
type draft struct {
	*v1alpha1.KafkaTopic

	before *v1alpha1.KafkaTopic // as the API server has it
}

// set sets the conditions of a topic that can be used.
func (d *draft) set(p plan) {
	d.Status.ObservedGeneration, d.Status.TopicName = d.Generation, d.Topic()
	report.Set(d, v1alpha1.Ready, true, p.reason, p.message)
	report.Set(d, v1alpha1.Synced, p.reason == v1alpha1.ReasonAsDeclared, p.reason, p.message)
}

// say sets the conditions of a topic that has a problem. When Kafka was not asked, what it said last stays.
func (d *draft) say(p *problem) {
	d.Status.ObservedGeneration, d.Status.TopicName = d.Generation, d.Topic()
	message := p.message
	if c := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.Ready); c != nil && p.reason == v1alpha1.ReasonUnreachable {
		message = steady(c.Message, message)
	}
	report.Set(d, v1alpha1.Ready, false, p.reason, message)
	if p.reason == v1alpha1.ReasonConflict || p.reason == v1alpha1.ReasonRefused {
		report.Set(d, v1alpha1.Synced, false, p.reason, message)
	}
}

// save writes the status, if nobody has written the object since it was read.
func (r *Reconciler) save(ctx context.Context, d *draft) error {
	if err := r.report.Write(ctx, d.before, d.KafkaTopic); err != nil {
		return err //nolint:wrapcheck // it says what was being done
	}
	d.before = d.DeepCopy()
	return nil
}

// saveAnyway writes the status even if the spec has been written meanwhile: Kafka has been changed, and that must be known.
func (r *Reconciler) saveAnyway(ctx context.Context, d *draft) error {
	err := r.save(ctx, d)
	if !apierrors.IsConflict(err) {
		return err
	}
	now := new(v1alpha1.KafkaTopic)
	if err := r.api.Get(ctx, client.ObjectKeyFromObject(d), now); err != nil {
		return fmt.Errorf("read KafkaTopic: %w", err)
	}
	if now.UID != d.UID {
		return errAgain
	}
	d.before = now.DeepCopy()
	now.Status = d.Status
	d.KafkaTopic = now
	return r.save(ctx, d)
}

// finalize has the object wait for its topic's deletion, or not. It comes before the status is changed.
func (r *Reconciler) finalize(ctx context.Context, d *draft, wait bool) error {
	change := controllerutil.RemoveFinalizer
	if wait {
		change = controllerutil.AddFinalizer
	}
	if !change(d, finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(d.before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, d.KafkaTopic, patch); err != nil {
		return fmt.Errorf("write finalizer: %w", err)
	}
	d.before = d.DeepCopy()
	return nil
}

// fresh makes sure, before Kafka is changed, that the object is what was read: the cache may be behind.
func (r *Reconciler) fresh(ctx context.Context, d *draft) error {
	now := new(v1alpha1.KafkaTopic)
	if err := r.api.Get(ctx, client.ObjectKeyFromObject(d), now); err != nil {
		return fmt.Errorf("read KafkaTopic: %w", err)
	}
	if now.UID != d.UID || now.ResourceVersion != d.ResourceVersion {
		return errAgain
	}
	return nil
}
