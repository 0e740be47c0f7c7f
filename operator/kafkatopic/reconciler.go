// Package kafkatopic reconciles KafkaTopic objects with the topics of Kafka clusters.
package kafkatopic

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/reference"
	"merchstore.io/merchstore/operator/report"
	"merchstore.io/merchstore/operator/requeue"
)

// Settings configure the controller.
type Settings struct {
	CallTimeout      time.Duration `env:"KAFKA_CALL_TIMEOUT" envDefault:"10s" min:"1s" help:"timeout of each call to Kafka"`
	DeletionDeadline time.Duration `env:"DELETION_DEADLINE" envDefault:"5m" min:"1s" help:"how long the deletion of a KafkaTopic waits for its topic to be deleted; after that the object is released and the topic left"`
}

// staleRequeue is the time after which an object that was read in an outdated state is reconciled
// again.
const staleRequeue = 500 * time.Millisecond

// errStale means that an object was read in a state that is not the API server's current one.
var errStale = errors.New("the object has changed meanwhile")

// Reconciler reconciles KafkaTopics.
type Reconciler struct {
	settings   Settings
	namespaces []string
	resync     time.Duration
	client     client.Client
	uncached   client.Reader
	references *reference.Reader
	report     *report.Reporter
	metrics    *report.Metrics
	clients    *clients
	topicLocks keyedMutex
	backoff    requeue.Limiter // set by SetUp
}

// New returns a Reconciler for the objects of some namespaces. The caller must close it.
func New(
	m manager.Manager, s Settings, references *reference.Reader, metrics *report.Metrics, resync time.Duration, namespaces []string,
) *Reconciler {
	return &Reconciler{
		settings: s, namespaces: namespaces, resync: resync,
		client: m.GetClient(), uncached: m.GetAPIReader(), references: references, metrics: metrics,
		report:  report.New("KafkaTopic", m.GetClient(), m.GetEventRecorder("operator"), metrics),
		clients: newClients(s.CallTimeout, max(idleTime, 3*resync), metrics),
	}
}

// Close closes the connections to Kafka.
func (r *Reconciler) Close() { r.clients.close() }

// Indexes of the cache.
const (
	secretIndex = "spec.connection.secretName"
	topicIndex  = "topic"
)

// SetUp registers the Reconciler with the manager.
func (r *Reconciler) SetUp(ctx context.Context, m manager.Manager, maxBackoff time.Duration) error {
	for name, values := range map[string]func(*v1alpha1.KafkaTopic) []string{
		secretIndex: func(t *v1alpha1.KafkaTopic) []string {
			if ca := t.Spec.Connection.CA; ca != nil {
				return []string{t.Spec.Connection.SecretName, ca.SecretName}
			}
			return []string{t.Spec.Connection.SecretName}
		},
		topicIndex: func(t *v1alpha1.KafkaTopic) []string { return []string{t.Topic()} },
	} {
		index := func(obj client.Object) []string {
			if t, ok := obj.(*v1alpha1.KafkaTopic); ok {
				return values(t)
			}
			return nil
		}
		if err := m.GetFieldIndexer().IndexField(ctx, &v1alpha1.KafkaTopic{}, name, index); err != nil {
			return fmt.Errorf("index KafkaTopics: %w", err)
		}
	}
	deleted := predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool { return !e.ObjectNew.GetDeletionTimestamp().IsZero() },
	}
	r.backoff = requeue.Backoff(maxBackoff)
	err := ctrl.NewControllerManagedBy(m).
		// Own writes to the status cause no reconcile. A deletion changes the generation.
		For(&v1alpha1.KafkaTopic{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.KafkaTopic{}, handler.EnqueueRequestsFromMapFunc(r.competingTopics), builder.WithPredicates(deleted)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.secretUsers),
			builder.OnlyMetadata, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		// In order of arrival: a queue with priorities handles objects that exist at the start after
		// all others.
		WithOptions(controller.Options{RateLimiter: r.backoff, UsePriorityQueue: new(false)}).Complete(r)
	if err != nil {
		return fmt.Errorf("build controller: %w", err)
	}
	return nil
}

// secretUsers returns the objects that name a Secret.
func (r *Reconciler) secretUsers(ctx context.Context, secret client.Object) []reconcile.Request {
	return r.requests(ctx, secret, client.InNamespace(secret.GetNamespace()), client.MatchingFields{secretIndex: secret.GetName()})
}

// competingTopics returns the other objects that name the topic of a deleted object: one of them
// becomes its owner.
func (r *Reconciler) competingTopics(ctx context.Context, obj client.Object) []reconcile.Request {
	t, ok := obj.(*v1alpha1.KafkaTopic)
	if !ok {
		return nil
	}
	return r.requests(ctx, obj, client.MatchingFields{topicIndex: t.Topic()})
}

func (r *Reconciler) requests(ctx context.Context, cause client.Object, options ...client.ListOption) []reconcile.Request {
	var found v1alpha1.KafkaTopicList
	if err := r.client.List(ctx, &found, options...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find KafkaTopics", "for", client.ObjectKeyFromObject(cause))
		return nil
	}
	var requests []reconcile.Request
	for _, t := range found.Items {
		if t.UID != cause.GetUID() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&t)})
		}
	}
	return requests
}

// RBAC markers stand apart from the function, as main.go explains. The right to patch is for
// finalizers.
//
// +kubebuilder:rbac:groups=merchstore.io,namespace=merchstore,resources=kafkatopics,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=merchstore.io,namespace=merchstore,resources=kafkatopics/status,verbs=patch
// +kubebuilder:rbac:groups="",namespace=merchstore,resources=secrets,verbs=get;list;watch

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	t := new(v1alpha1.KafkaTopic)
	if err := r.client.Get(ctx, request.NamespacedName, t); apierrors.IsNotFound(err) {
		r.report.Forget(request.NamespacedName)
		return reconcile.Result{}, nil
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("read KafkaTopic: %w", err)
	}
	s := newScope(t)
	deleting := !t.DeletionTimestamp.IsZero()
	var err error
	if deleting {
		err = r.reconcileDelete(ctx, s)
	} else {
		err = r.reconcileTopic(ctx, s)
	}
	if p := visibleProblem(err, r.backoff.NumRequeues(request)); p != nil {
		s.setProblem(p)
		if patchErr := r.patchStatus(ctx, s); patchErr != nil {
			err = errors.Join(err, patchErr)
		} else if !deleting && p.reason != v1alpha1.ReasonUnreachable && p.reason != v1alpha1.ReasonRefused {
			err = nil // a change of an object will trigger the next reconcile
		}
	}
	switch {
	case errors.Is(err, errStale) || apierrors.IsConflict(err):
		return requeue.After(staleRequeue), nil
	case err != nil || deleting:
		return reconcile.Result{}, client.IgnoreNotFound(err)
	default:
		return requeue.After(r.resync), nil
	}
}

// visibleProblem returns the problem to show in the status after a number of failures in a row, or
// nil. An outdated topic is shown only if it fails again. Errors of the API server are not shown:
// it would have to store them.
func visibleProblem(err error, failures int) *problem {
	var p *problem
	if !errors.As(err, &p) || errors.Is(err, errOutdated) && failures == 0 {
		return nil
	}
	return p
}
