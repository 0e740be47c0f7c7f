package databaseschema

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/requeue"
)

// Indexes of the cache.
const (
	secretIndex    = "spec.connection.secretName"
	configMapIndex = "spec.migrations.configMapName"
)

// SetUp registers the Reconciler with the manager.
func (r *Reconciler) SetUp(ctx context.Context, m manager.Manager, maxBackoff time.Duration) error {
	for index, names := range map[string]func(v1alpha1.DatabaseSchemaSpec) []string{
		secretIndex: func(spec v1alpha1.DatabaseSchemaSpec) []string {
			if ca := spec.Connection.CA; ca != nil {
				return []string{spec.Connection.SecretName, ca.SecretName}
			}
			return []string{spec.Connection.SecretName}
		},
		configMapIndex: func(spec v1alpha1.DatabaseSchemaSpec) (names []string) {
			for _, source := range spec.Migrations {
				names = append(names, source.ConfigMapName)
			}
			return names
		},
	} {
		err := m.GetFieldIndexer().IndexField(ctx, &v1alpha1.DatabaseSchema{}, index, func(obj client.Object) []string {
			s, ok := obj.(*v1alpha1.DatabaseSchema)
			if !ok {
				return nil
			}
			return names(s.Spec)
		})
		if err != nil {
			return fmt.Errorf("index DatabaseSchemas: %w", err)
		}
	}
	err := ctrl.NewControllerManagedBy(m).
		For(&v1alpha1.DatabaseSchema{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})). // not for own status writes
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.referrers(secretIndex)), builder.OnlyMetadata).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.referrers(configMapIndex)), builder.OnlyMetadata).
		WithOptions(controller.Options{RateLimiter: requeue.Backoff(maxBackoff), UsePriorityQueue: new(false)}).Complete(r)
	if err != nil {
		return fmt.Errorf("build controller: %w", err)
	}
	return nil
}

// referrers returns a function that returns the objects that refer to a Secret or ConfigMap.
func (r *Reconciler) referrers(index string) handler.MapFunc {
	return func(ctx context.Context, referred client.Object) []reconcile.Request {
		list := new(v1alpha1.DatabaseSchemaList)
		err := r.client.List(ctx, list, client.InNamespace(referred.GetNamespace()), client.MatchingFields{index: referred.GetName()})
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "find DatabaseSchemas", "of", referred.GetName())
			return nil
		}
		var requests []reconcile.Request
		for i := range list.Items {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
		return requests
	}
}
