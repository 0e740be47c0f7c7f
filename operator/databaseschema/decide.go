package databaseschema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
)

// observed is the state of a database.
type observed struct {
	databaseID string
	ledger     migration.Ledger
	// types are the current types of the columns that the plan changes.
	types map[migration.Column]string
}

// analysis is the result of comparing the files with the ledger, and of reading the files to apply.
type analysis struct {
	migration.Comparison
	files   []migration.File
	applied []migration.Applied
	// pending are the files to apply up to the target; later is the number of files beyond it.
	pending []migration.File
	later   int
	hash    string
	steps   []step
	// invalid says why a pending file cannot be applied; empty if all can.
	invalid string
}

// analyze reuses the last analysis if the pending files are the same. For accepts see inspect.
func analyze(
	target *int64, files []migration.File, ledger migration.Ledger, last analysis, accepts func(sql string) bool,
) analysis {
	a := analysis{Comparison: migration.Compare(files, ledger), files: files, applied: ledger.Applied}
	for _, f := range a.Pending {
		if target == nil || f.Version <= *target {
			a.pending = append(a.pending, f)
		} else {
			a.later++
		}
	}
	if a.hash = planHash(a.pending); a.hash == last.hash {
		a.steps, a.invalid = last.steps, last.invalid
		return a
	}
	var err error
	if a.steps, err = inspect(a.pending, accepts); err != nil {
		a.invalid = err.Error()
	}
	return a
}

// planHash returns a hash of the versions and contents, in order.
func planHash(files []migration.File) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%d %s\n", f.Version, f.Checksum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// approved reports whether a hash is that of the plan, or of an earlier plan of which a part was
// applied since.
func (a analysis) approved(hash string) bool {
	if hash == "" || hash == a.hash {
		return hash != ""
	}
	plan, last := a.pending, len(a.files)-len(a.Pending)-1
	for i := last; i >= 0 && i > last-maxVersions && len(plan) > 0; i-- {
		if plan = append([]migration.File{a.files[i]}, plan...); planHash(plan) == hash {
			return true
		}
	}
	return false
}

// decision is what to do, and the status to report.
type decision struct {
	ready           bool
	reason, message string
	// drifted: the files contradict what was applied. otherDatabase: the status is not about this
	// database.
	drifted, otherDatabase bool

	// run are the files to apply, in order; adopt are files that were applied by a tool that stores
	// no checksums; resumed are the interrupted ones of run.
	run, adopt []migration.File
	resumed    []migration.Interrupted

	plan   *v1alpha1.MigrationPlan
	failed *v1alpha1.FailedMigration
}

// changes reports whether the decision changes the database.
func (d decision) changes() bool { return len(d.run)+len(d.adopt) > 0 }

// decide decides what to do with a database. It is pure.
func decide(s *v1alpha1.DatabaseSchema, a analysis, seen observed) decision {
	if id := s.Status.DatabaseID; id != "" && id != seen.databaseID && s.Spec.AcceptedDatabase != seen.databaseID {
		return decision{otherDatabase: true, failed: s.Status.Failed, plan: s.Status.Plan, reason: v1alpha1.ReasonDatabaseChanged, message: fmt.Sprintf(
			"the Secret leads to database %[1]s, but %[2]s was migrated before; restore the Secret, or create another DatabaseSchema. "+
				`If %[1]s has the data of %[2]s, after pg_upgrade or a restore: kubectl -n %[3]s patch databaseschema %[4]s --type merge -p '{"spec":{"acceptedDatabase":"%[1]s"}}'`,
			seen.databaseID, id, s.Namespace, s.Name)}
	}
	if s.Status.Version > 0 && len(a.applied) == 0 {
		return decision{otherDatabase: true, failed: s.Status.Failed, plan: s.Status.Plan, reason: v1alpha1.ReasonDatabaseChanged, message: fmt.Sprintf(
			"version %d was applied, and the ledger goose_db_version is gone or not visible: check the connection's search_path and rights; nothing is run",
			s.Status.Version)}
	}
	if reason, message := drift(a); reason != "" {
		return decision{reason: reason, message: message + "; nothing is run", drifted: true}
	}
	d := decision{adopt: a.WithoutChecksum, plan: newPlan(a, seen.types)}
	if f := s.Status.Failed; f != nil && f.PlanHash == a.hash && f.Generation == s.Generation && len(a.pending) > 0 {
		d.failed = f
	}
	d.ready, d.reason, d.message = readiness(s, a, d)
	if d.reason == "" {
		d.run = a.pending
		d.resumed = a.Resumable
	}
	return d
}

// readiness returns the condition Ready if nothing is to be run. The reason is empty if the plan is
// to be run.
func readiness(s *v1alpha1.DatabaseSchema, a analysis, d decision) (ready bool, reason, message string) {
	target := s.Spec.TargetVersion
	if dirty := dirtyReason(a); dirty != "" {
		return false, v1alpha1.ReasonDirty, dirty
	}
	switch {
	case target != nil && a.Current > *target:
		return false, v1alpha1.ReasonTargetBehind,
			fmt.Sprintf("version %d is applied, and targetVersion is %d: nothing is migrated down", a.Current, *target)
	case len(a.files) == 0:
		return false, v1alpha1.ReasonInvalidMigrations, "the ConfigMaps contain no files"
	case len(a.pending) == 0 && a.later > 0:
		return true, v1alpha1.ReasonUpToDate, fmt.Sprintf("version %d is applied; %d later files are beyond targetVersion", a.Current, a.later)
	case len(a.Missing) > 0: // only later ones, see drift
		return true, v1alpha1.ReasonAheadOfFiles, fmt.Sprintf(
			"version %d is applied, and the newest file is %s: an earlier release runs on the schema of a later one", a.Current, a.files[len(a.files)-1].Name)
	case len(a.pending) == 0:
		return true, v1alpha1.ReasonUpToDate, fmt.Sprintf("version %d is applied, the newest there is", a.Current)
	case a.invalid != "":
		return false, v1alpha1.ReasonInvalidMigrations, a.invalid
	case d.failed != nil && !transient(d.failed.SQLState):
		return false, v1alpha1.ReasonFailed, failureMessage(d.failed)
	case len(d.plan.Destructive) > 0 && s.Spec.Destructive != v1alpha1.AllowDestructive && !a.approved(s.Spec.ApprovedPlan):
		return false, v1alpha1.ReasonApprovalRequired, approvalMessage(s, d.plan)
	}
	return false, "", ""
}

// drift returns how the files contradict what was applied; the reason is empty if they do not.
func drift(a analysis) (reason, message string) {
	list := func(count int, name func(i int) string) string {
		const few = 5
		var words []string
		for i := range min(count, few) {
			words = append(words, name(i))
		}
		if count > few {
			words = append(words, fmt.Sprintf("and %d more", count-few))
		}
		return strings.Join(words, ", ")
	}
	switch {
	case len(a.Tampered) > 0:
		return v1alpha1.ReasonTampered, "edited after being applied: " +
			list(len(a.Tampered), func(i int) string { return a.Tampered[i].Name })
	case len(a.Missing) > 0 && !a.ahead():
		return v1alpha1.ReasonMissingApplied, "applied, but the file is gone: " + list(len(a.Missing), func(i int) string {
			if m := a.Missing[i]; m.Name != "" {
				return m.Name
			}
			return fmt.Sprintf("version %d", a.Missing[i].Version)
		})
	case len(a.OutOfOrder) > 0:
		return v1alpha1.ReasonOutOfOrder, fmt.Sprintf("not applied, but the later version %d is: ", a.Current) +
			list(len(a.OutOfOrder), func(i int) string { return a.OutOfOrder[i].Name })
	}
	return "", ""
}

// ahead reports whether the applied versions without a file are all later than the newest file, as
// after a release was rolled back.
func (a analysis) ahead() bool {
	return len(a.files) > 0 && !slices.ContainsFunc(a.Missing, func(m migration.Applied) bool { return m.Version < a.files[len(a.files)-1].Version })
}

// dirtyReason says which interrupted migration cannot be resumed; empty if all can.
func dirtyReason(a analysis) string {
	const remedy = "; restore the file, or repair the database by hand and then delete the row of goose_db_running"
	for _, i := range a.Dirty {
		return fmt.Sprintf("version %d was interrupted at %s, and its file was removed or edited since", i.Version, i.Since.UTC().Format(time.DateTime)) + remedy
	}
	for _, i := range a.Resumable {
		if len(a.pending) == 0 || i.Version > a.pending[len(a.pending)-1].Version {
			return fmt.Sprintf("version %d was interrupted, and targetVersion prevents resuming it", i.Version)
		}
	}
	return ""
}

// Bounds of the status, whatever the files contain.
const (
	maxVersions    = 100
	maxDestructive = 20
	maxStep        = 200 // characters
	maxMessage     = 1000
)

func newPlan(a analysis, types map[migration.Column]string) *v1alpha1.MigrationPlan {
	if len(a.pending) == 0 {
		return nil
	}
	plan := &v1alpha1.MigrationPlan{Hash: a.hash}
	for _, f := range a.pending[:min(len(a.pending), maxVersions)] {
		plan.Versions = append(plan.Versions, f.Version)
	}
	found := destructiveSteps(a.steps, types)
	for _, step := range found[:min(len(found), maxDestructive)] {
		plan.Destructive = append(plan.Destructive, report.Truncate(step, maxStep))
	}
	return plan
}

func approvalMessage(s *v1alpha1.DatabaseSchema, plan *v1alpha1.MigrationPlan) string {
	other := ""
	if s.Spec.ApprovedPlan != "" {
		other = " (spec.approvedPlan has another hash)"
	}
	return fmt.Sprintf(`plan %s%s is destructive: %s. To run it: kubectl -n %s patch databaseschema %s --type merge -p '{"spec":{"approvedPlan":"%s"}}'`,
		plan.Hash, other, report.Truncate(strings.Join(plan.Destructive, "; "), maxMessage), s.Namespace, s.Name, plan.Hash)
}

func failureMessage(f *v1alpha1.FailedMigration) string {
	message := fmt.Sprintf("version %d: %s", f.Version, f.Message)
	if f.SQLState != "" {
		message += fmt.Sprintf(" (SQLSTATE %s)", f.SQLState)
	}
	if f.Statement != "" {
		message += "; the statement: " + f.Statement
	}
	return message
}

// transient reports whether an error may pass without a change of the migration: a lock or
// statement timeout, a deadlock, a serialization failure, a lack of resources, a shutdown.
func transient(sqlState string) bool {
	switch sqlState {
	case "55P03", "57014", "40001", "40P01", "25006": // the last is a standby's, during a failover
		return true
	}
	return strings.HasPrefix(sqlState, "08") || strings.HasPrefix(sqlState, "53") || strings.HasPrefix(sqlState, "57P")
}
