package databaseschema

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/operator/api/v1alpha1"
)

// observed is what a database says of itself.
type observed struct {
	databaseID string
	ledger     migration.Ledger
	// types are those that columns have which the plan changes.
	types map[migration.Column]string
}

// outlook is what follows from the files and the ledger: what is to be applied, and what is in it.
type outlook struct {
	migration.Comparison
	files   []migration.File
	applied []migration.Applied
	// pending are those up to the target; later is how many are beyond it.
	pending []migration.File
	later   int
	hash    string
	steps   []step
	// invalid is a sentence about a pending file that can not be applied, or nothing.
	invalid string
}

// newOutlook may be given the last one, so that the same files are not read again.
func newOutlook(ctx context.Context, target *int64, files []migration.File, ledger migration.Ledger, last outlook) outlook {
	o := outlook{Comparison: migration.Compare(files, ledger), files: files, applied: ledger.Applied}
	for _, f := range o.Pending {
		if target == nil || f.Version <= *target {
			o.pending = append(o.pending, f)
		} else {
			o.later++
		}
	}
	if o.hash = planHash(o.pending); o.hash == last.hash {
		o.steps, o.invalid = last.steps, last.invalid
		return o
	}
	var err error
	if o.steps, err = inspect(ctx, o.pending); err != nil {
		o.invalid = err.Error()
	}
	return o
}

// planHash is over versions and content, in order.
func planHash(files []migration.File) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%d %s\n", f.Version, f.Checksum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// approved tells whether a hash is that of the plan, or of one of which the plan is the rest: a part of that was applied, and then
// something came between.
func (o outlook) approved(hash string) bool {
	if hash == "" || hash == o.hash {
		return hash != ""
	}
	plan, last := o.pending, len(o.files)-len(o.Pending)-1
	for i := last; i >= 0 && i > last-maxVersions && len(plan) > 0; i-- {
		if plan = append([]migration.File{o.files[i]}, plan...); planHash(plan) == hash {
			return true
		}
	}
	return false
}

// decision is what to do, and what to say.
type decision struct {
	ready           bool
	reason, message string
	// drifted: the reason is a contradiction between the files and what was applied. unknown: it is another database, and says
	// nothing about this object.
	drifted, unknown bool

	// run are files to apply, in order; sign are files that were applied by something that keeps no checksums; takenUp are those of
	// run that were interrupted.
	run, sign []migration.File
	takenUp   []migration.Interrupted

	plan   *v1alpha1.MigrationPlan
	failed *v1alpha1.FailedMigration
}

// acts tells whether the database is to be written to.
func (d decision) acts() bool { return len(d.run)+len(d.sign) > 0 }

// decide says what to do with a database. It asks nobody.
func decide(s *v1alpha1.DatabaseSchema, o outlook, seen observed) decision {
	if id := s.Status.DatabaseID; id != "" && id != seen.databaseID {
		return decision{unknown: true, failed: s.Status.Failed, plan: s.Status.Plan, reason: v1alpha1.ReasonDatabaseChanged, message: fmt.Sprintf(
			"the Secret leads to database %s, but %s is the one that was migrated; put it back, or make another DatabaseSchema", seen.databaseID, id)}
	}
	if s.Status.Version > 0 && len(o.applied) == 0 {
		return decision{unknown: true, failed: s.Status.Failed, plan: s.Status.Plan, reason: v1alpha1.ReasonDatabaseChanged, message: fmt.Sprintf(
			"version %d was applied, and the ledger goose_db_version is gone or out of sight: look at the connection's search_path and rights; nothing is run",
			s.Status.Version)}
	}
	if reason, message := drift(o); reason != "" {
		return decision{reason: reason, message: message + "; nothing is run", drifted: true}
	}
	d := decision{sign: o.Unsigned, plan: newPlan(o, seen.types)}
	if f := s.Status.Failed; f != nil && f.PlanHash == o.hash && f.Generation == s.Generation && len(o.pending) > 0 {
		d.failed = f
	}
	d.ready, d.reason, d.message = standing(s, o, d)
	if d.reason == "" {
		d.run = o.pending
		d.takenUp = o.Resumable
	}
	return d
}

// standing says how things stand if nothing is run, and gives no reason if the plan is to be run.
func standing(s *v1alpha1.DatabaseSchema, o outlook, d decision) (ready bool, reason, message string) {
	target := s.Spec.TargetVersion
	if dirty := dirt(o); dirty != "" {
		return false, v1alpha1.ReasonDirty, dirty
	}
	switch {
	case target != nil && o.Current > *target:
		return false, v1alpha1.ReasonTargetBehind,
			fmt.Sprintf("version %d is applied, and targetVersion is %d: nothing is migrated down", o.Current, *target)
	case len(o.files) == 0:
		return false, v1alpha1.ReasonInvalidMigrations, "the ConfigMaps hold no files"
	case len(o.pending) == 0 && o.later > 0:
		return true, v1alpha1.ReasonUpToDate, fmt.Sprintf("version %d is applied; %d later files are beyond targetVersion", o.Current, o.later)
	case len(o.pending) == 0:
		return true, v1alpha1.ReasonUpToDate, fmt.Sprintf("version %d is applied, and there is none later", o.Current)
	case o.invalid != "":
		return false, v1alpha1.ReasonInvalidMigrations, o.invalid
	case d.failed != nil && !passes(d.failed.SQLState):
		return false, v1alpha1.ReasonFailed, failureMessage(d.failed)
	case len(d.plan.Destructive) > 0 && s.Spec.Destructive != v1alpha1.AllowDestructive && !o.approved(s.Spec.ApprovedPlan):
		return false, v1alpha1.ReasonApprovalRequired, approvalMessage(s, d.plan)
	}
	return false, "", ""
}

// drift says in which way the files contradict what was applied, or nothing.
func drift(o outlook) (reason, message string) {
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
	case len(o.Tampered) > 0:
		return v1alpha1.ReasonTampered, "edited after they were applied: " +
			list(len(o.Tampered), func(i int) string { return o.Tampered[i].Name })
	case len(o.Missing) > 0:
		return v1alpha1.ReasonMissingApplied, "applied, but there is no file: " + list(len(o.Missing), func(i int) string {
			if a := o.Missing[i]; a.Name != "" {
				return a.Name
			}
			return fmt.Sprintf("version %d", o.Missing[i].Version)
		})
	case len(o.OutOfOrder) > 0:
		return v1alpha1.ReasonOutOfOrder, fmt.Sprintf("not applied, but version %d is, which is later: ", o.Current) +
			list(len(o.OutOfOrder), func(i int) string { return o.OutOfOrder[i].Name })
	}
	return "", ""
}

// dirt says which interrupted migration can not be taken up, or nothing.
func dirt(o outlook) string {
	const remedy = "; put the file back as it was, or look after the database by hand and then delete the row of goose_db_running"
	for _, i := range o.Dirty {
		return fmt.Sprintf("version %d was interrupted at %s, and its file is gone or was edited since", i.Version, i.Since.UTC().Format(time.DateTime)) + remedy
	}
	for _, i := range o.Resumable {
		if len(o.pending) == 0 || i.Version > o.pending[len(o.pending)-1].Version {
			return fmt.Sprintf("version %d was interrupted, and targetVersion keeps it from being taken up", i.Version)
		}
	}
	return ""
}

// Statuses stay small, whatever the files are like.
const (
	maxVersions    = 100
	maxDestructive = 20
	maxWhat        = 200
	maxMessage     = 1000
)

func newPlan(o outlook, types map[migration.Column]string) *v1alpha1.MigrationPlan {
	if len(o.pending) == 0 {
		return nil
	}
	plan := &v1alpha1.MigrationPlan{Hash: o.hash}
	for _, f := range o.pending[:min(len(o.pending), maxVersions)] {
		plan.Versions = append(plan.Versions, f.Version)
	}
	found := judge(o.steps, types)
	for _, what := range found[:min(len(found), maxDestructive)] {
		plan.Destructive = append(plan.Destructive, cut(what, maxWhat))
	}
	return plan
}

func approvalMessage(s *v1alpha1.DatabaseSchema, plan *v1alpha1.MigrationPlan) string {
	other := ""
	if s.Spec.ApprovedPlan != "" {
		other = " (the one in spec.approvedPlan is another)"
	}
	return fmt.Sprintf(`plan %s%s is destructive: %s. To run it: kubectl -n %s patch databaseschema %s --type merge -p '{"spec":{"approvedPlan":"%s"}}'`,
		plan.Hash, other, cut(strings.Join(plan.Destructive, "; "), maxMessage), s.Namespace, s.Name, plan.Hash)
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

// passes tells whether an error is of those that go away without anybody changing the migration: a lock or statement timeout, a
// deadlock, a conflict of transactions, a server that is short of something or going away.
func passes(sqlState string) bool {
	switch sqlState {
	case "55P03", "57014", "40001", "40P01", "25006": // the last is a standby's, during a failover
		return true
	}
	return strings.HasPrefix(sqlState, "08") || strings.HasPrefix(sqlState, "53") || strings.HasPrefix(sqlState, "57P")
}

// cut shortens a text to a number of characters.
func cut(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}
