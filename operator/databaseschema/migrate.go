package databaseschema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
	"merchstore.io/merchstore/operator/requeue"
)

const (
	// queryTimeout limits the queries that observe a database.
	queryTimeout = 30 * time.Second
	// busyRequeue is the time after which an object is reconciled again that was outdated or locked
	// by another process.
	busyRequeue = 2 * time.Second
)

// migrate observes the database and, if there is something to do, observes it again under the lock
// and does it.
func (t *reconciliation) migrate(ctx context.Context, session *migration.Session, files []migration.File) (reconcile.Result, error) {
	d, err := t.observe(ctx, session, files)
	if err != nil {
		return reconcile.Result{}, t.connectionFailed(err)
	}
	if !d.changes() {
		return requeue.After(t.resync), nil
	}
	if current, err := t.verifyUncached(ctx); err != nil || !current {
		return requeue.After(busyRequeue), err
	}
	err = t.timed("lock", func() error { return session.Lock(ctx, t.settings.LockTimeout) })
	switch {
	case errors.Is(err, migration.ErrLocked):
		if len(d.run) > 0 {
			t.setNotReady(v1alpha1.ReasonLocked, err.Error())
		}
		return requeue.After(min(busyRequeue, t.resync)), nil
	case err != nil:
		return reconcile.Result{}, t.connectionFailed(err)
	}
	if d, err = t.observe(ctx, session, files); err != nil {
		return reconcile.Result{}, t.connectionFailed(err)
	}
	if !d.changes() {
		return requeue.After(t.resync), nil
	}
	if err := t.reportResumption(ctx, d); err != nil {
		return reconcile.Result{}, err
	}
	failure := t.apply(ctx, session, d)
	t.recordFailure(failure, d.run)
	if _, err := t.observe(ctx, session, files); err != nil {
		return reconcile.Result{}, t.connectionFailed(errors.Join(failure, err))
	}
	if failure != nil {
		return t.handleFailure(failure)
	}
	return requeue.After(t.resync), nil
}

// observe reads the state of the database, decides what to do and updates the status in memory.
func (t *reconciliation) observe(ctx context.Context, session *migration.Session, files []migration.File) (decision, error) {
	var seen observed
	err := t.query(ctx, "read_ledger", func(ctx context.Context) (err error) {
		if seen.databaseID, err = session.Identity(ctx); err == nil {
			seen.ledger, err = session.ReadLedger(ctx)
		}
		return err
	})
	if err != nil {
		return decision{}, err
	}
	var failed error
	a := analyze(t.object.Spec.TargetVersion, files, seen.ledger, t.last, func(sql string) (accepted bool) {
		failed = errors.Join(failed, t.query(ctx, "parse", func(ctx context.Context) (err error) {
			accepted, err = session.Accepts(ctx, sql)
			return err
		}))
		return accepted
	})
	if failed != nil {
		return decision{}, failed
	}
	t.last = a
	if changed := columns(a.steps); len(changed) > 0 {
		err := t.query(ctx, "read_columns", func(ctx context.Context) (err error) {
			seen.types, err = session.ColumnTypes(ctx, changed)
			return err
		})
		if err != nil {
			return decision{}, err
		}
	}
	d := decide(t.object, a, seen)
	t.updateStatus(d, a, seen)
	return d, nil
}

// query runs a query with a timeout and records its duration.
func (t *reconciliation) query(ctx context.Context, operation string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return t.timed(operation, func() error { return do(ctx) })
}

// updateStatus sets the status in memory. A plan that is about to be run does not change the
// condition Ready yet.
func (t *reconciliation) updateStatus(d decision, a analysis, seen observed) {
	if d.reason != "" {
		report.Set(t.object, v1alpha1.Ready, d.ready, d.reason, d.message)
	}
	if d.otherDatabase {
		return
	}
	status := &t.object.Status
	status.DatabaseID, status.Version, status.Plan, status.Failed = seen.databaseID, a.Current, d.plan, d.failed
	status.Pending = int32(len(a.pending) + len(a.OutOfOrder)) //nolint:gosec // 50 ConfigMaps of 1 MB hold fewer
	status.LastApplied = nil
	if n := len(a.applied); n > 0 {
		at := metav1.NewTime(a.applied[n-1].At).Rfc3339Copy()
		status.LastApplied = &at
	}
	if d.drifted {
		report.Set(t.object, v1alpha1.Drifted, true, d.reason, d.message)
	} else {
		report.Set(t.object, v1alpha1.Drifted, false, v1alpha1.ReasonAsDeclared, "the files are unchanged since they were applied")
	}
}

// verifyUncached reports whether the API server still holds the object as it was read: the cache
// may lag behind, and must not cause a migration that was just paused or has just failed.
func (t *reconciliation) verifyUncached(ctx context.Context) (bool, error) {
	current := new(v1alpha1.DatabaseSchema)
	if err := t.uncached.Get(ctx, client.ObjectKeyFromObject(t.object), current); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return current.UID == t.object.UID && current.ResourceVersion == t.original.ResourceVersion, nil
}

// reportResumption reports that an interrupted migration is resumed, before that is done: it can
// take long.
func (t *reconciliation) reportResumption(ctx context.Context, d decision) error {
	for _, i := range d.resumed {
		t.setNotReady(v1alpha1.ReasonDirty, fmt.Sprintf("version %d was interrupted at %s, outside a transaction; it is being resumed",
			i.Version, i.Since.UTC().Format(time.DateTime)))
		if err := t.patchStatus(ctx); err != nil {
			return err
		}
	}
	return nil
}

// apply runs the plan, one file after the other, and reports what was applied.
func (t *reconciliation) apply(ctx context.Context, session *migration.Session, d decision) error {
	if err := t.timed("prepare_ledger", func() error { return session.Prepare(ctx, d.adopt) }); err != nil {
		if len(d.run) > 0 {
			err = &migration.Failure{File: d.run[0], Err: err}
		}
		return err
	}
	var applied []string
	defer func() {
		if n := len(applied); n > 0 {
			t.report.Normal(t.object, "Applied", fmt.Sprintf("applied %d: %s", n, strings.Join(applied, ", ")))
		}
	}()
	for _, f := range d.run {
		if err := t.timed("migrate", func() error { return session.Apply(ctx, f) }); err != nil {
			return err
		}
		applied = append(applied, f.Name)
	}
	return nil
}

func (t *reconciliation) timed(operation string, do func() error) error {
	start := time.Now()
	err := do()
	t.metrics.Call("postgresql", operation, start, err)
	return err
}

// recordFailure records an error of the server in the status, with the hash of the plan that begins
// with the failed file.
func (t *reconciliation) recordFailure(err error, run []migration.File) {
	failure, server := new(migration.Failure), new(pgconn.PgError)
	if !errors.As(err, &failure) || !errors.As(err, &server) {
		return
	}
	rest := run[slices.IndexFunc(run, func(f migration.File) bool { return f.Version == failure.File.Version }):]
	t.object.Status.Failed = &v1alpha1.FailedMigration{
		Version: failure.File.Version, Statement: mask(failure.Statement, t.password), SQLState: server.Code,
		Message:  report.Truncate(sanitize(errors.New(server.Message), t.password), maxMessage),
		PlanHash: planHash(rest), Generation: t.object.Generation,
	}
}

// handleFailure reports a failed migration and decides whether it is retried. The caller has
// observed the database again.
func (t *reconciliation) handleFailure(err error) (reconcile.Result, error) {
	f := t.object.Status.Failed
	if server := new(pgconn.PgError); f == nil || !errors.As(err, &server) {
		message := sanitize(err, t.password)
		t.setNotReady(v1alpha1.ReasonRetrying, message)
		return reconcile.Result{}, errors.New(message)
	}
	if transient(f.SQLState) {
		t.setNotReady(v1alpha1.ReasonRetrying, failureMessage(f))
		return reconcile.Result{}, errors.New(failureMessage(f))
	}
	return requeue.After(t.resync), nil
}

// connectionFailed reports that the database could not be observed or locked, and returns the error
// without secrets.
func (t *reconciliation) connectionFailed(err error) error {
	message := sanitize(err, t.password)
	reason := v1alpha1.ReasonUnreachable
	if server := new(pgconn.PgError); errors.As(err, &server) && (server.Code == "55P03" || server.Code == "57014") {
		reason = v1alpha1.ReasonRetrying // another session has locked the ledger
	}
	t.setNotReady(reason, message)
	return errors.New(message)
}
