// Package databaseschema reconciles DatabaseSchema objects with the schemas of PostgreSQL
// databases. The function decide, which is pure, decides what to do; the rest observes, executes
// and reports.
package databaseschema

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/reference"
	"merchstore.io/merchstore/operator/report"
	"merchstore.io/merchstore/operator/requeue"
)

// Settings configure the controller.
type Settings struct {
	ConnectTimeout   time.Duration `env:"DATABASE_CONNECT_TIMEOUT" envDefault:"5s" min:"1s" help:"how long PostgreSQL may take to accept a connection"`
	LockTimeout      time.Duration `env:"MIGRATION_LOCK_TIMEOUT" envDefault:"5s" min:"1ms" help:"how long a migration may wait for a locked table before it is retried later"`
	StatementTimeout time.Duration `env:"MIGRATION_STATEMENT_TIMEOUT" envDefault:"10m" help:"how long one statement of a migration may run"`
}

// Validate returns an error if the settings cannot work.
func (s Settings) Validate() error {
	if s.StatementTimeout <= s.LockTimeout {
		return errors.New("MIGRATION_STATEMENT_TIMEOUT must be more than MIGRATION_LOCK_TIMEOUT")
	}
	return nil
}

// Reconciler reconciles DatabaseSchemas.
type Reconciler struct {
	settings   Settings
	client     client.Client
	uncached   client.Reader
	references *reference.Reader
	report     *report.Reporter
	metrics    *report.Metrics
	resync     time.Duration
}

// New returns a Reconciler.
func New(m manager.Manager, s Settings, references *reference.Reader, metrics *report.Metrics, resync time.Duration) *Reconciler {
	return &Reconciler{
		settings: s, client: m.GetClient(), uncached: m.GetAPIReader(), references: references, metrics: metrics, resync: resync,
		report: report.New("DatabaseSchema", m.GetClient(), m.GetEventRecorder("operator"), metrics),
	}
}

// RBAC markers; main.go has those for the lease and for events.
//
// +kubebuilder:rbac:groups=merchstore.io,namespace=merchstore,resources=databaseschemas,verbs=get;list;watch
// +kubebuilder:rbac:groups=merchstore.io,namespace=merchstore,resources=databaseschemas/status,verbs=patch
// +kubebuilder:rbac:groups="",namespace=merchstore,resources=secrets;configmaps,verbs=get;list;watch

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	s := new(v1alpha1.DatabaseSchema)
	if err := r.client.Get(ctx, request.NamespacedName, s); err != nil {
		if apierrors.IsNotFound(err) {
			r.report.Forget(request.NamespacedName)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("read object: %w", err)
	}
	if s.DeletionTimestamp != nil { // the database is left as it is
		return reconcile.Result{}, nil
	}
	t := &reconciliation{Reconciler: r, original: s.DeepCopy(), object: s}
	s.Status.ObservedGeneration = s.Generation
	result, err := t.run(ctx)
	if ctx.Err() != nil { // shutting down: the error says nothing about the object
		return reconcile.Result{}, nil //nolint:nilerr // as above
	}
	if patchErr := client.IgnoreNotFound(t.patchStatus(ctx)); patchErr != nil {
		if apierrors.IsConflict(patchErr) { // the object has changed meanwhile
			return requeue.After(time.Second), nil
		}
		err = errors.Join(err, patchErr)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return result, nil
}

// reconciliation is one reconcile of one object.
type reconciliation struct {
	*Reconciler
	// original is the object as last read or written, object has changes that may not be written
	// yet.
	original, object *v1alpha1.DatabaseSchema
	password         string
	last             analysis
}

// patchStatus writes the status. It fails if the object was written since it was read.
func (t *reconciliation) patchStatus(ctx context.Context) error {
	if err := t.report.Write(ctx, t.original, t.object); err != nil {
		return err
	}
	t.original = t.object.DeepCopy()
	return nil
}

func (t *reconciliation) setNotReady(reason, message string) {
	report.Set(t.object, v1alpha1.Ready, false, reason, message)
}

// run reconciles the object. An error contains no secrets; it causes a retry with backoff.
func (t *reconciliation) run(ctx context.Context) (reconcile.Result, error) {
	if t.object.Spec.Paused {
		t.setNotReady(v1alpha1.ReasonPaused, "spec.paused is set: the database is neither checked nor changed")
		return requeue.After(t.resync), nil
	}
	config, err := t.connection(ctx, t.object)
	var files []migration.File
	if err == nil {
		files, err = t.files(ctx, t.object)
	}
	if p := new(problem); errors.As(err, &p) {
		t.setNotReady(p.reason, p.message)
		return requeue.After(t.resync), nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	t.password = config.Password
	session, err := t.open(ctx, config)
	if err != nil {
		return reconcile.Result{}, t.connectionFailed(err)
	}
	defer session.Close()
	return t.migrate(ctx, session, files)
}

func (t *reconciliation) open(ctx context.Context, config *pgx.ConnConfig) (_ *migration.Session, err error) {
	defer func(start time.Time) { t.metrics.Call("postgresql", "connect", start, err) }(time.Now())
	return migration.Open(ctx, config, migration.Options{
		Name: "merchstore operator", ConnectTimeout: t.settings.ConnectTimeout,
		LockTimeout: t.settings.LockTimeout, StatementTimeout: t.settings.StatementTimeout,
	})
}
