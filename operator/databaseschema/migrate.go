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
	// answerLimit is how long a database may take to tell of itself.
	answerLimit = 30 * time.Second
	// soon is when an object is looked at again that is in somebody else's hands.
	soon = 2 * time.Second
)

// migrate looks at the database and, if there is something to do, does it under the lock, after a second look.
func (t *turn) migrate(ctx context.Context, session *migration.Session, files []migration.File) (reconcile.Result, error) {
	d, err := t.look(ctx, session, files)
	if err != nil {
		return reconcile.Result{}, t.failed(err)
	}
	if !d.acts() {
		return requeue.After(t.resync), nil
	}
	if current, err := t.isCurrent(ctx); err != nil || !current {
		return requeue.After(soon), err
	}
	err = t.timed("lock", func() error { return session.Lock(ctx, t.settings.LockTimeout) })
	switch {
	case errors.Is(err, migration.ErrLocked):
		if len(d.run) > 0 {
			t.unready(v1alpha1.ReasonLocked, err.Error())
		}
		return requeue.After(min(soon, t.resync)), nil
	case err != nil:
		return reconcile.Result{}, t.failed(err)
	}
	if d, err = t.look(ctx, session, files); err != nil {
		return reconcile.Result{}, t.failed(err)
	}
	if !d.acts() {
		return requeue.After(t.resync), nil
	}
	if err := t.announce(ctx, d); err != nil {
		return reconcile.Result{}, err
	}
	failure := t.apply(ctx, session, d)
	t.remember(failure, d.run)
	if _, err := t.look(ctx, session, files); err != nil {
		return reconcile.Result{}, t.failed(errors.Join(failure, err))
	}
	if failure != nil {
		return t.afterFailure(failure)
	}
	return requeue.After(t.resync), nil
}

// look reads what the database says, decides, and writes into the status how things stand.
func (t *turn) look(ctx context.Context, session *migration.Session, files []migration.File) (decision, error) {
	var seen observed
	err := t.ask(ctx, "read_ledger", func(ctx context.Context) (err error) {
		if seen.databaseID, err = session.Identity(ctx); err == nil {
			seen.ledger, err = session.ReadLedger(ctx)
		}
		return err
	})
	if err != nil {
		return decision{}, err
	}
	t.parsing.Lock()
	o := newOutlook(ctx, t.now.Spec.TargetVersion, files, seen.ledger, t.last)
	t.parsing.Unlock()
	t.last = o
	if changed := columns(o.steps); len(changed) > 0 {
		err := t.ask(ctx, "read_columns", func(ctx context.Context) (err error) {
			seen.types, err = session.ColumnTypes(ctx, changed)
			return err
		})
		if err != nil {
			return decision{}, err
		}
	}
	d := decide(t.now, o, seen)
	t.show(d, o, seen)
	return d, nil
}

// ask asks the database for something that it knows, and measures the answer's time.
func (t *turn) ask(ctx context.Context, operation string, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return t.timed(operation, func() error { return question(ctx) })
}

// show writes into the status how things stand. A plan that is about to be run changes nothing about readiness yet.
func (t *turn) show(d decision, o outlook, seen observed) {
	if d.reason != "" {
		report.Set(t.now, v1alpha1.Ready, d.ready, d.reason, d.message)
	}
	if d.unknown {
		return
	}
	status := &t.now.Status
	status.DatabaseID, status.Version, status.Plan, status.Failed = seen.databaseID, o.Current, d.plan, d.failed
	status.Pending = int32(len(o.pending) + len(o.OutOfOrder)) //nolint:gosec // 50 ConfigMaps of 1 MB hold fewer
	status.LastApplied = nil
	if n := len(o.applied); n > 0 {
		at := metav1.NewTime(o.applied[n-1].At).Rfc3339Copy()
		status.LastApplied = &at
	}
	if d.drifted {
		report.Set(t.now, v1alpha1.Drifted, true, d.reason, d.message)
	} else {
		report.Set(t.now, v1alpha1.Drifted, false, v1alpha1.ReasonAsDeclared, "the files are as they were when they were applied")
	}
}

// isCurrent tells whether the object is still what we have heard of it: what we hear lags behind, and must not make us run what was
// just paused, or what has just failed.
func (t *turn) isCurrent(ctx context.Context) (bool, error) {
	live := new(v1alpha1.DatabaseSchema)
	if err := t.live.Get(ctx, client.ObjectKeyFromObject(t.now), live); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return live.UID == t.now.UID && live.ResourceVersion == t.before.ResourceVersion, nil
}

// announce says that an interrupted migration is taken up, before that is done: it can take long.
func (t *turn) announce(ctx context.Context, d decision) error {
	for _, i := range d.takenUp {
		t.unready(v1alpha1.ReasonDirty, fmt.Sprintf("version %d was interrupted at %s, outside of a transaction; it is taken up again",
			i.Version, i.Since.UTC().Format(time.DateTime)))
		if err := t.write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// apply runs the plan, one file after the other, and says what it has done.
func (t *turn) apply(ctx context.Context, session *migration.Session, d decision) error {
	if err := t.timed("prepare_ledger", func() error { return session.Prepare(ctx, d.sign) }); err != nil {
		if len(d.run) > 0 {
			err = &migration.Failure{File: d.run[0], Err: err}
		}
		return err
	}
	var applied []string
	defer func() {
		if n := len(applied); n > 0 {
			t.report.Normal(t.now, "Applied", fmt.Sprintf("applied %d: %s", n, strings.Join(applied, ", ")))
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

func (t *turn) timed(operation string, do func() error) error {
	start := time.Now()
	err := do()
	t.metrics.Call("postgresql", operation, start, err)
	return err
}

// remember keeps a failure of the server's in the status, with the plan that begins with the file.
func (t *turn) remember(err error, run []migration.File) {
	failure, server := new(migration.Failure), new(pgconn.PgError)
	if !errors.As(err, &failure) || !errors.As(err, &server) {
		return
	}
	rest := run[slices.IndexFunc(run, func(f migration.File) bool { return f.Version == failure.File.Version }):]
	t.now.Status.Failed = &v1alpha1.FailedMigration{
		Version: failure.File.Version, Statement: masked(failure.Statement, t.password), SQLState: server.Code,
		Message:  cut(scrubbed(errors.New(server.Message), t.password), maxMessage),
		PlanHash: planHash(rest), Generation: t.now.Generation,
	}
}

// afterFailure says that a migration has failed, and whether it is tried again: the look after it has written down the rest, and has
// shown that the database answers.
func (t *turn) afterFailure(err error) (reconcile.Result, error) {
	f := t.now.Status.Failed
	if server := new(pgconn.PgError); f == nil || !errors.As(err, &server) {
		message := scrubbed(err, t.password)
		t.unready(v1alpha1.ReasonRetrying, message)
		return reconcile.Result{}, errors.New(message)
	}
	if passes(f.SQLState) {
		t.unready(v1alpha1.ReasonRetrying, failureMessage(f))
		return reconcile.Result{}, errors.New(failureMessage(f))
	}
	return requeue.After(t.resync), nil
}

// failed says that the database could not be asked, or not to the end, and gives the error without secrets.
func (t *turn) failed(err error) error {
	message := scrubbed(err, t.password)
	reason := v1alpha1.ReasonUnreachable
	if server := new(pgconn.PgError); errors.As(err, &server) && (server.Code == "55P03" || server.Code == "57014") {
		reason = v1alpha1.ReasonRetrying // somebody holds the ledger
	}
	t.unready(reason, message)
	return errors.New(message)
}
