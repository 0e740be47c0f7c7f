// Package databaseschema keeps PostgreSQL databases migrated as DatabaseSchema objects declare them. What is done is decided by
// decide, which asks nobody; the rest reads what it needs to know, does it, and says so.
package databaseschema

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
	"merchstore.io/merchstore/operator/requeue"
)

// Settings are those of the controller.
type Settings struct {
	ConnectTimeout   time.Duration `env:"DATABASE_CONNECT_TIMEOUT" envDefault:"5s" help:"how long PostgreSQL may take to accept a connection"`
	LockTimeout      time.Duration `env:"MIGRATION_LOCK_TIMEOUT" envDefault:"5s" help:"how long a migration may wait for a table that others use, before it gives way and is tried again later"`
	StatementTimeout time.Duration `env:"MIGRATION_STATEMENT_TIMEOUT" envDefault:"10m" help:"how long one statement of a migration may run"`
}

// Validate finds settings that cannot work.
func (s Settings) Validate() error {
	if s.ConnectTimeout < time.Second || s.LockTimeout < time.Millisecond || s.StatementTimeout <= s.LockTimeout {
		return errors.New("DATABASE_CONNECT_TIMEOUT must be at least 1s, and MIGRATION_STATEMENT_TIMEOUT more than MIGRATION_LOCK_TIMEOUT")
	}
	return nil
}

// Reconciler reconciles DatabaseSchemas.
type Reconciler struct {
	settings Settings
	client   client.Client
	// live reads from the API server itself, and not what was last heard of it.
	live    client.Reader
	report  *report.Reporter
	metrics *report.Metrics
	resync  time.Duration
	// parsing is done by one at a time, for the memory it takes.
	parsing *sync.Mutex
}

// New makes a Reconciler.
func New(m manager.Manager, s Settings, metrics *report.Metrics, resync time.Duration) *Reconciler {
	return &Reconciler{
		settings: s, client: m.GetClient(), live: m.GetAPIReader(), metrics: metrics, resync: resync, parsing: new(sync.Mutex),
		report: report.New("DatabaseSchema", m.GetClient(), m.GetEventRecorder("operator"), metrics),
	}
}

// Rights that this needs, apart from those for the lease and for events, which main.go asks for.
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
	t := &turn{Reconciler: r, before: s.DeepCopy(), now: s}
	s.Status.ObservedGeneration = s.Generation
	result, err := t.take(ctx)
	if ctx.Err() != nil { // we are stopping: what was seen says nothing about the object
		return reconcile.Result{}, nil //nolint:nilerr // nobody needs to hear of it
	}
	if writeErr := client.IgnoreNotFound(t.write(ctx)); writeErr != nil {
		if apierrors.IsConflict(writeErr) { // somebody has changed it meanwhile, and that is looked at anew
			return requeue.After(time.Second), nil
		}
		err = errors.Join(err, writeErr)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return result, nil
}

// turn is one look at one object.
type turn struct {
	*Reconciler
	// before is the object as the API server has it, now as it is to be.
	before, now *v1alpha1.DatabaseSchema
	password    string
	last        outlook
}

// write tells the API server what is new.
func (t *turn) write(ctx context.Context) error {
	if err := t.report.Write(ctx, t.before, t.now); err != nil {
		return err
	}
	t.before = t.now.DeepCopy()
	return nil
}

func (t *turn) unready(reason, message string) {
	report.Set(t.now, v1alpha1.Ready, false, reason, message)
}

// take looks at the object and does what is to be done. An error has no secrets in it; with one, the object's turn comes again after
// a wait that grows.
func (t *turn) take(ctx context.Context) (reconcile.Result, error) {
	if t.now.Spec.Paused {
		t.unready(v1alpha1.ReasonPaused, "spec.paused is set: the database is not asked and not changed")
		return requeue.After(t.resync), nil
	}
	config, err := t.connection(ctx, t.now)
	var files []migration.File
	if err == nil {
		files, err = t.files(ctx, t.now)
	}
	if p := new(problem); errors.As(err, &p) {
		t.unready(p.reason, p.message)
		return requeue.After(t.resync), nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	t.password = config.Password
	session, err := t.open(ctx, config)
	if err != nil {
		return reconcile.Result{}, t.failed(err)
	}
	defer session.Close()
	return t.migrate(ctx, session, files)
}

func (t *turn) open(ctx context.Context, config *pgx.ConnConfig) (_ *migration.Session, err error) {
	defer func(start time.Time) { t.metrics.Call("postgresql", "connect", start, err) }(time.Now())
	return migration.Open(ctx, config, migration.Options{
		Name: "merchstore operator", ConnectTimeout: t.settings.ConnectTimeout,
		LockTimeout: t.settings.LockTimeout, StatementTimeout: t.settings.StatementTimeout,
	})
}
