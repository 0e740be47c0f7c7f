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

// reconcileDelete releases an object that is being deleted, after its topic if that is to be
// deleted too. After the deletion deadline it stops waiting for Kafka, which would block the
// deletion of the namespace.
func (r *Reconciler) reconcileDelete(ctx context.Context, s *scope) error {
	if !controllerutil.ContainsFinalizer(s, finalizer) {
		return nil
	}
	if s.Spec.DeletionPolicy != v1alpha1.DeleteTopic || s.Spec.Paused {
		return r.removeFinalizer(ctx, s)
	}
	err := r.withClient(ctx, s, func(k *kafkaClient) error { return r.deleteTopic(ctx, s, k) })
	overdue := time.Since(s.DeletionTimestamp.Time) > r.settings.DeletionDeadline
	if overdue && err != nil && ctx.Err() == nil && !errors.Is(err, errStale) && !apierrors.IsNotFound(err) {
		r.report.Warning(s.KafkaTopic, "TopicLeft", fmt.Sprintf("Topic %s could not be deleted within %s and is left: %v",
			s.Topic(), r.settings.DeletionDeadline, err))
		ctrl.LoggerFrom(ctx).Error(err, "released a KafkaTopic whose topic could not be deleted in time", "topic", s.Topic())
		r.metrics.Released("KafkaTopic")
		err = nil
	}
	if err != nil {
		return err
	}
	return r.removeFinalizer(ctx, s)
}

// deleteTopic deletes the topic that the object holds, but not another of the same name.
func (r *Reconciler) deleteTopic(ctx context.Context, s *scope, k *kafkaClient) error {
	cluster, unlock, err := r.lockTopic(ctx, s, k)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.verifyUncached(ctx, s); err != nil {
		return err
	}
	current, err := k.find(ctx, s.Topic())
	if err != nil || current == nil {
		return err
	}
	if !holds(s.KafkaTopic, cluster) || current.id != s.Status.TopicID {
		r.report.Warning(s.KafkaTopic, "TopicLeft", fmt.Sprintf("Topic %s is not the one this object held and is left.", s.Topic()))
		return nil
	}
	if err := k.delete(ctx, current); err != nil {
		return err
	}
	// The next object that names the topic must not find the old one.
	return r.poll(ctx, "Kafka has accepted the deletion but still reports the topic.", func() (bool, error) {
		current, err := k.find(ctx, s.Topic())
		return err == nil && (current == nil || current.id != s.Status.TopicID), err
	})
}
