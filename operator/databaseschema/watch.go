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

// Indexes by which objects are found that refer to a Secret or a ConfigMap.
const (
	secretIndex    = "spec.connection.secretName"
	configMapIndex = "spec.migrations.configMapName"
)

// SetUp has the manager run the Reconciler.
func (r *Reconciler) SetUp(ctx context.Context, m manager.Manager, maxBackoff time.Duration) error {
	for index, names := range map[string]func(v1alpha1.DatabaseSchemaSpec) []string{
		secretIndex: func(spec v1alpha1.DatabaseSchemaSpec) []string { return []string{spec.Connection.SecretName} },
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
		For(&v1alpha1.DatabaseSchema{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})). // not by our own status
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.users(secretIndex))).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.users(configMapIndex))).
		WithOptions(controller.Options{RateLimiter: requeue.Backoff(maxBackoff)}).Complete(r)
	if err != nil {
		return fmt.Errorf("build controller: %w", err)
	}
	return nil
}

// users gives a function that finds the objects which refer to something.
func (r *Reconciler) users(index string) handler.MapFunc {
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
