// Package kafkatopic keeps Kafka topics as KafkaTopic objects declare them.
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
	"merchstore.io/merchstore/operator/report"
	"merchstore.io/merchstore/operator/requeue"
)

// Settings are those of the controller.
type Settings struct {
	CallTimeout      time.Duration `env:"KAFKA_CALL_TIMEOUT" envDefault:"10s" help:"how long Kafka may take to answer"`
	DeletionDeadline time.Duration `env:"DELETION_DEADLINE" envDefault:"5m" help:"how long the deletion of a KafkaTopic waits for a topic that can not be deleted, for Kafka is away or refuses it, before the object is let go and the topic left"`
}

// Validate finds settings that cannot work.
func (s Settings) Validate() error {
	if s.CallTimeout < time.Second || s.DeletionDeadline < time.Second {
		return errors.New("KAFKA_CALL_TIMEOUT and DELETION_DEADLINE must be at least 1s")
	}
	return nil
}

// soon is when to look again after something has changed meanwhile, or is about to.
const soon = 500 * time.Millisecond

// errAgain asks for an object to be looked at again soon: what was read of it is not what the API server has.
var errAgain = errors.New("the object has changed meanwhile")

// Reconciler reconciles KafkaTopics.
type Reconciler struct {
	settings   Settings
	namespaces []string
	resync     time.Duration
	client     client.Client
	api        client.Reader // past the cache
	report     *report.Reporter
	metrics    *report.Metrics
	pool       *pool
	locks      locks
	backoff    requeue.Limiter // SetUp makes it
}

// New makes a Reconciler for the objects of some namespaces. It needs Close.
func New(m manager.Manager, s Settings, metrics *report.Metrics, resync time.Duration, namespaces []string) *Reconciler {
	return &Reconciler{
		settings: s, namespaces: namespaces, resync: resync,
		client: m.GetClient(), api: m.GetAPIReader(), metrics: metrics,
		report: report.New("KafkaTopic", m.GetClient(), m.GetEventRecorder("operator"), metrics),
		pool:   newPool(s.CallTimeout, max(idleTime, 3*resync), metrics),
		locks:  locks{held: map[string]chan struct{}{}},
	}
}

// Close lets go of the connections to Kafka.
func (r *Reconciler) Close() { r.pool.close() }

// Indexes of the cache.
const (
	bySecret = "spec.connection.secretName"
	byTopic  = "topic"
)

// SetUp has the manager run the Reconciler.
func (r *Reconciler) SetUp(ctx context.Context, m manager.Manager, maxBackoff time.Duration) error {
	for name, value := range map[string]func(*v1alpha1.KafkaTopic) string{
		bySecret: func(t *v1alpha1.KafkaTopic) string { return t.Spec.Connection.SecretName },
		byTopic:  (*v1alpha1.KafkaTopic).Topic,
	} {
		index := func(obj client.Object) []string {
			if t, ok := obj.(*v1alpha1.KafkaTopic); ok {
				return []string{value(t)}
			}
			return nil
		}
		if err := m.GetFieldIndexer().IndexField(ctx, &v1alpha1.KafkaTopic{}, name, index); err != nil {
			return fmt.Errorf("index KafkaTopics: %w", err)
		}
	}
	leaving := predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool { return !e.ObjectNew.GetDeletionTimestamp().IsZero() },
	}
	r.backoff = requeue.Backoff(maxBackoff)
	err := ctrl.NewControllerManagedBy(m).
		// What is written to the status here is no reason to look again. A deletion counts as a generation.
		For(&v1alpha1.KafkaTopic{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.KafkaTopic{}, handler.EnqueueRequestsFromMapFunc(r.heirs), builder.WithPredicates(leaving)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.users),
			builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WithOptions(controller.Options{RateLimiter: r.backoff}).Complete(r)
	if err != nil {
		return fmt.Errorf("build controller: %w", err)
	}
	return nil
}

// users are the objects that name a Secret.
func (r *Reconciler) users(ctx context.Context, secret client.Object) []reconcile.Request {
	return r.requests(ctx, secret, client.InNamespace(secret.GetNamespace()), client.MatchingFields{bySecret: secret.GetName()})
}

// heirs are the objects that may get the topic of one that goes.
func (r *Reconciler) heirs(ctx context.Context, obj client.Object) []reconcile.Request {
	t, ok := obj.(*v1alpha1.KafkaTopic)
	if !ok {
		return nil
	}
	return r.requests(ctx, obj, client.MatchingFields{byTopic: t.Topic()})
}

func (r *Reconciler) requests(ctx context.Context, cause client.Object, which ...client.ListOption) []reconcile.Request {
	var found v1alpha1.KafkaTopicList
	if err := r.client.List(ctx, &found, which...); err != nil {
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

// Rights that this needs, apart from the function as main.go explains. Finalizers are the reason for patch.
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
	d := &draft{KafkaTopic: t, before: t.DeepCopy()}
	leaving := !t.DeletionTimestamp.IsZero()
	var err error
	if leaving {
		err = r.leave(ctx, d)
	} else {
		err = r.keep(ctx, d)
	}
	if p := toSay(err, r.backoff.NumRequeues(request)); p != nil {
		d.say(p)
		if failed := r.save(ctx, d); failed != nil {
			err = errors.Join(err, failed)
		} else if !leaving && p.reason != v1alpha1.ReasonUnreachable && p.reason != v1alpha1.ReasonRefused {
			err = nil // its end will be told
		}
	}
	switch {
	case errors.Is(err, errAgain) || apierrors.IsConflict(err):
		return requeue.After(soon), nil
	case err != nil || leaving:
		return reconcile.Result{}, client.IgnoreNotFound(err)
	default:
		return requeue.After(r.resync), nil
	}
}

// toSay is the problem, if an error is one, that is to be shown after so many failures in a row. Errors of the API server are not:
// it would have to take them.
func toSay(err error, failures int) *problem {
	var p *problem
	if !errors.As(err, &p) || errors.Is(err, errOutdated) && failures == 0 {
		return nil
	}
	return p
}
