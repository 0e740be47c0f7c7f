// Package certificate fills Secrets with the certificates of the store's services, and renews them
// before they end. The chart declares these Secrets, empty, with the label merchstore.io/certificate:
// those with the value "authority" get the authority's certificates and keys, those with the value
// "service" a certificate for the URI and the DNS names in their annotations.
package certificate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"merchstore.io/merchstore/operator/report"
	"merchstore.io/merchstore/operator/requeue"
)

const (
	label               = "merchstore.io/certificate"
	authorityValue      = "authority"
	serviceValue        = "service"
	authorityAnnotation = "merchstore.io/authority" // the name of the Secret that signs
	uriAnnotation       = "merchstore.io/uri"
	namesAnnotation     = "merchstore.io/dns-names"
)

// Settings configure the controller.
type Settings struct {
	Lifetime time.Duration `env:"CERTIFICATE_LIFETIME" envDefault:"2160h" min:"1h" help:"how long a certificate for calls between services is valid; it is renewed after two thirds of that, and pods see a new one after minutes"`
}

// Reconciler reconciles an authority's Secret, together with those of the certificates that it signs.
type Reconciler struct {
	client   client.Client
	uncached client.Reader
	events   events.EventRecorder
	metrics  *report.Metrics
	lifetime time.Duration
}

// New returns a Reconciler.
func New(m manager.Manager, s Settings, metrics *report.Metrics) *Reconciler {
	return &Reconciler{
		client: m.GetClient(), uncached: m.GetAPIReader(), events: m.GetEventRecorder("operator"), metrics: metrics, lifetime: s.Lifetime,
	}
}

// SetUp registers the Reconciler with the manager. It watches only the metadata of Secrets, as the
// other controllers do, whose permission to read Secrets suffices. The chart gives the permission to
// write to the Secrets that it declares.
func (r *Reconciler) SetUp(m manager.Manager, maxBackoff time.Duration) error {
	err := ctrl.NewControllerManagedBy(m).Named("certificate").
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(authorityOf), builder.OnlyMetadata).
		WithOptions(controller.Options{RateLimiter: requeue.Backoff(maxBackoff), UsePriorityQueue: new(false)}).Complete(r)
	if err != nil {
		return fmt.Errorf("build controller: %w", err)
	}
	return nil
}

// authorityOf returns the authority of a Secret with the label, which may be itself.
func authorityOf(_ context.Context, secret client.Object) []reconcile.Request {
	key := client.ObjectKeyFromObject(secret)
	switch secret.GetLabels()[label] {
	case authorityValue:
	case serviceValue:
		key.Name = secret.GetAnnotations()[authorityAnnotation]
	default:
		return nil
	}
	return []reconcile.Request{{NamespacedName: key}}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	services := new(corev1.SecretList)
	if err := r.uncached.List(ctx, services, client.InNamespace(request.Namespace), client.MatchingLabels{label: serviceValue}); err != nil {
		return reconcile.Result{}, fmt.Errorf("list certificates: %w", err)
	}
	defer func() { r.metrics.Certificates(request.Namespace, services.Items) }() // also of those that could not be renewed
	secret := new(corev1.Secret)
	if err := r.uncached.Get(ctx, request.NamespacedName, secret); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err) //nolint:wrapcheck // names the Secret
	}
	if secret.Labels[label] != authorityValue { // some other Secret, which a service names as its authority
		return reconcile.Result{}, nil
	}
	now := time.Now()
	a, err := parseAuthority(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		r.events.Eventf(secret, nil, corev1.EventTypeWarning, "InvalidCertificate", "Reconcile", "%s", err)
		log.FromContext(ctx).Error(err, "invalid certificate authority", "secret", secret.Name)
		return requeue.After(max(r.lifetime/100, time.Second)), nil
	}
	a, changed, err := a.renew(secret.Name, now, r.lifetime)
	if err != nil {
		return reconcile.Result{}, err
	}
	if changed {
		certificates, keys, err := encode(a...)
		if err != nil {
			return reconcile.Result{}, err
		}
		if err := r.write(ctx, secret, map[string][]byte{corev1.TLSCertKey: certificates, corev1.TLSPrivateKeyKey: keys}); err != nil {
			return reconcile.Result{}, err
		}
	}
	if err := r.reconcileServices(ctx, request.Name, services.Items, a, now); err != nil {
		return reconcile.Result{}, err
	}
	return requeue.After(max(r.lifetime/100, time.Second)), nil
}

// reconcileServices updates those of the Secrets that the authority with that name signs.
func (r *Reconciler) reconcileServices(ctx context.Context, name string, secrets []corev1.Secret, a authority, now time.Time) error {
	var errs []error
	for i := range secrets {
		secret := &secrets[i]
		if secret.Annotations[authorityAnnotation] != name {
			continue
		}
		data, err := update(secret, a, now, r.lifetime)
		if err != nil {
			r.events.Eventf(secret, nil, corev1.EventTypeWarning, "InvalidCertificate", "Reconcile", "%s", err)
			log.FromContext(ctx).Error(err, "invalid certificate", "secret", secret.Name)
			continue
		}
		errs = append(errs, r.write(ctx, secret, data))
	}
	return errors.Join(errs...)
}

// write changes the content of a Secret. It fails, and leaves secret as it is, if the Secret was
// written since it was read.
func (r *Reconciler) write(ctx context.Context, secret *corev1.Secret, data map[string][]byte) error {
	changed := secret.DeepCopy()
	if changed.Data == nil {
		changed.Data = map[string][]byte{}
	}
	maps.Copy(changed.Data, data)
	if equality.Semantic.DeepEqual(changed.Data, secret.Data) {
		return nil
	}
	patch := client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{})
	switch err := r.client.Patch(ctx, changed, patch); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("write certificate %s: %w", secret.Name, err)
	}
	*secret = *changed
	r.events.Eventf(secret, nil, corev1.EventTypeNormal, "Renewed", "Reconcile", "the certificate or its authorities were renewed")
	return nil
}
