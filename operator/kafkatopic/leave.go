package kafkatopic

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// leave lets go of an object that is being deleted, after its topic if that is to go too. A Kafka that is away is waited for, but
// not for ever: a namespace could not be deleted meanwhile.
func (r *Reconciler) leave(ctx context.Context, d *draft) error {
	if !controllerutil.ContainsFinalizer(d, finalizer) {
		return nil
	}
	if d.Spec.DeletionPolicy != v1alpha1.DeleteTopic || d.Spec.Paused {
		return r.finalize(ctx, d, false)
	}
	err := r.connected(ctx, d, func(s *session) error { return r.remove(ctx, d, s) })
	overdue := time.Since(d.DeletionTimestamp.Time) > r.settings.DeletionDeadline
	if overdue && err != nil && ctx.Err() == nil && !errors.Is(err, errAgain) && !apierrors.IsNotFound(err) {
		r.report.Warning(d.KafkaTopic, "TopicLeft", fmt.Sprintf("Topic %s could not be deleted within %s, and is left: %v",
			d.Topic(), r.settings.DeletionDeadline, err))
		ctrl.LoggerFrom(ctx).Error(err, "let go of a KafkaTopic whose topic could not be deleted in time", "topic", d.Topic())
		r.metrics.Released("KafkaTopic")
		err = nil
	}
	if err != nil {
		return err
	}
	return r.finalize(ctx, d, false)
}

// remove deletes the topic that the object holds, and no other that has its name.
func (r *Reconciler) remove(ctx context.Context, d *draft, s *session) error {
	cluster, err := s.clusterID(ctx)
	if err != nil {
		return err
	}
	unlock, err := r.locks.lock(ctx, cluster+"/"+d.Topic())
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.fresh(ctx, d); err != nil {
		return err
	}
	topic, err := s.find(ctx, d.Topic())
	if err != nil || topic == nil {
		return err
	}
	if !holds(d.KafkaTopic, cluster) || topic.id != d.Status.TopicID {
		r.report.Warning(d.KafkaTopic, "TopicLeft", fmt.Sprintf("Topic %s is not the one that was held here, and is left.", d.Topic()))
		return nil
	}
	if err := s.remove(ctx, d.Topic()); err != nil {
		return err
	}
	return r.gone(ctx, d, s)
}

// gone waits until Kafka no longer shows the topic, so that whoever names it next does not take it for a new one.
func (r *Reconciler) gone(ctx context.Context, d *draft, s *session) error {
	return r.await(ctx, "Kafka has accepted the deletion, but still shows the topic.", func() (bool, error) {
		topic, err := s.find(ctx, d.Topic())
		return err == nil && (topic == nil || topic.id != d.Status.TopicID), err
	})
}
