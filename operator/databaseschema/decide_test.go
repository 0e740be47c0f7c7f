package databaseschema

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/operator/api/v1alpha1"
)

const here = "7000000000000000001/shop"

// situation is the input of decide.
type situation struct {
	object *v1alpha1.DatabaseSchema
	files  []migration.File
	seen   observed
}

// threeFiles returns three files, the last of which is destructive.
func threeFiles(t *testing.T) []migration.File {
	t.Helper()
	return []migration.File{
		file(t, "0001_a.sql", "CREATE TABLE a (x int, y int);"), file(t, "0002_b.sql", "CREATE TABLE b (x int);"),
		file(t, "0003_c.sql", "ALTER TABLE a DROP COLUMN x;"),
	}
}

// applied returns a ledger of the first files.
func applied(files []migration.File, number int) migration.Ledger {
	var l migration.Ledger
	for _, f := range files[:number] {
		l.Applied = append(l.Applied, migration.Applied{Version: f.Version, Name: f.Name, Checksum: f.Checksum})
	}
	return l
}

func interrupted(l *migration.Ledger, f migration.File, checksum string) {
	l.Interrupted = append(l.Interrupted, migration.Interrupted{Version: f.Version, Checksum: checksum, Since: time.Unix(0, 0)})
}

func target(version int64) *int64 { return &version }

func TestDecide(t *testing.T) {
	t.Parallel()
	three := threeFiles(t)
	all, last := planHash(three), planHash(three[2:])
	index := file(t, "0003_c.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON a (x);\n")
	for name, c := range map[string]struct {
		change  func(*situation)
		ready   bool
		reason  string // empty if the plan is run
		run     int
		drifted bool
		words   []string
	}{
		"a fresh database, and nothing destructive": {
			change: func(s *situation) { s.files = three[:2] }, run: 2,
		},
		"up to date": {
			change: func(s *situation) { s.seen.ledger = applied(three, 3) },
			ready:  true, reason: v1alpha1.ReasonUpToDate, words: []string{"version 3 is applied"},
		},
		"a destructive plan waits": {
			change: func(*situation) {},
			reason: v1alpha1.ReasonApprovalRequired,
			words:  []string{all, "0003: drops column a.x", fmt.Sprintf(`kubectl -n ns patch databaseschema store --type merge -p '{"spec":{"approvedPlan":"%s"}}'`, all)},
		},
		"a destructive plan is allowed": {
			change: func(s *situation) { s.object.Spec.Destructive = v1alpha1.AllowDestructive }, run: 3,
		},
		"a destructive plan is approved": {
			change: func(s *situation) { s.object.Spec.ApprovedPlan = all }, run: 3,
		},
		"another plan is approved": {
			change: func(s *situation) { s.object.Spec.ApprovedPlan = last },
			reason: v1alpha1.ReasonApprovalRequired, words: []string{all, "spec.approvedPlan has another hash"},
		},
		"the rest of an approved plan": {
			change: func(s *situation) { s.object.Spec.ApprovedPlan, s.seen.ledger = all, applied(three, 2) }, run: 1,
		},
		"the rest of an approved plan was edited": {
			change: func(s *situation) {
				s.object.Spec.ApprovedPlan, s.seen.ledger = all, applied(three, 2)
				s.files = []migration.File{three[0], three[1], file(t, "0003_c.sql", "ALTER TABLE a DROP COLUMN y;")}
			},
			reason: v1alpha1.ReasonApprovalRequired,
		},
		"an approved plan has grown": {
			change: func(s *situation) {
				s.object.Spec.ApprovedPlan = all
				s.files = append(slices.Clone(three), file(t, "0004_d.sql", "SELECT 1;"))
			},
			reason: v1alpha1.ReasonApprovalRequired,
		},
		"an approved plan that was run approves nothing later": {
			change: func(s *situation) {
				s.object.Spec.ApprovedPlan, s.seen.ledger = all, applied(three, 3)
				s.files = append(slices.Clone(three), file(t, "0004_d.sql", "DROP TABLE a;"))
			},
			reason: v1alpha1.ReasonApprovalRequired,
		},
		"the target excludes the destructive file": {
			change: func(s *situation) { s.object.Spec.TargetVersion = target(2) }, run: 2,
		},
		"at the target": {
			change: func(s *situation) { s.object.Spec.TargetVersion, s.seen.ledger = target(2), applied(three, 2) },
			ready:  true, reason: v1alpha1.ReasonUpToDate, words: []string{"1 later files are beyond targetVersion"},
		},
		"newer than the target": {
			change: func(s *situation) { s.object.Spec.TargetVersion, s.seen.ledger = target(1), applied(three, 2) },
			reason: v1alpha1.ReasonTargetBehind, words: []string{"version 2 is applied", "nothing is migrated down"},
		},
		"edited": {
			change: func(s *situation) {
				s.seen.ledger = applied(three, 2)
				s.files = []migration.File{three[0], file(t, "0002_b.sql", "SELECT 2;"), three[2]}
			},
			reason: v1alpha1.ReasonTampered, drifted: true, words: []string{"0002_b.sql", "nothing is run"},
		},
		"missing": {
			change: func(s *situation) { s.seen.ledger, s.files = applied(three, 2), three[1:] },
			reason: v1alpha1.ReasonMissingApplied, drifted: true, words: []string{"0001_a.sql"},
		},
		"ahead of the files of an earlier release": {
			change: func(s *situation) { s.seen.ledger, s.files = applied(three, 3), three[:2] },
			ready:  true, reason: v1alpha1.ReasonAheadOfFiles, words: []string{"version 3 is applied", "the newest file is 0002_b.sql"},
		},
		"all missing": {
			change: func(s *situation) { s.seen.ledger, s.files = applied(three, 2), nil },
			reason: v1alpha1.ReasonMissingApplied, drifted: true, words: []string{"0001_a.sql, 0002_b.sql"},
		},
		"a new file is older than the newest applied": {
			change: func(s *situation) { s.seen.ledger.Applied = applied(three, 3).Applied[1:] },
			reason: v1alpha1.ReasonOutOfOrder, drifted: true, words: []string{"the later version 3 is: 0001_a.sql"},
		},
		"drift beyond the target": {
			change: func(s *situation) {
				s.object.Spec.TargetVersion, s.seen.ledger = target(1), applied(three, 3)
				s.files = []migration.File{three[0], three[1], file(t, "0003_c.sql", "SELECT 3;")}
			},
			reason: v1alpha1.ReasonTampered, drifted: true,
		},
		"no files at all": {
			change: func(s *situation) { s.files = nil },
			reason: v1alpha1.ReasonInvalidMigrations, words: []string{"no files"},
		},
		"a file cannot be read": {
			change: func(s *situation) { s.files = []migration.File{three[0], file(t, "0002_b.sql", "CREATE TABEL b;")} },
			reason: v1alpha1.ReasonInvalidMigrations, words: []string{"0002_b.sql, line 2", "TABEL"},
		},
		"a file beyond the target cannot be read": {
			change: func(s *situation) {
				s.files = []migration.File{three[0], file(t, "0002_b.sql", "CREATE TABEL b;")}
				s.object.Spec.TargetVersion = target(1)
			},
			run: 1,
		},
		"another database": {
			change: func(s *situation) { s.object.Status.DatabaseID = "7000000000000000002/shop" },
			reason: v1alpha1.ReasonDatabaseChanged, words: []string{here, "7000000000000000002/shop"},
		},
		"the ledger is not visible": {
			change: func(s *situation) { s.object.Status.Version, s.files = 3, three[:2] },
			reason: v1alpha1.ReasonDatabaseChanged, words: []string{"version 3 was applied", "search_path"},
		},
		"the same database": {
			change: func(s *situation) { s.object.Status.DatabaseID, s.files = here, three[:2] }, run: 2,
		},
		"the plan has failed": {
			change: func(s *situation) {
				s.files = three[:2]
				s.object.Status.Failed = &v1alpha1.FailedMigration{
					Version: 1, SQLState: "42601", Message: "syntax error", Statement: "SELECT 1 FROM", PlanHash: planHash(three[:2]), Generation: 5,
				}
			},
			reason: v1alpha1.ReasonFailed, words: []string{"version 1: syntax error (SQLSTATE 42601); the statement: SELECT 1 FROM"},
		},
		"the plan has failed with a transient error": {
			change: func(s *situation) {
				s.files = three[:2]
				s.object.Status.Failed = &v1alpha1.FailedMigration{SQLState: "55P03", PlanHash: planHash(three[:2]), Generation: 5}
			},
			run: 2,
		},
		"another plan has failed": {
			change: func(s *situation) {
				s.files = three[:2]
				s.object.Status.Failed = &v1alpha1.FailedMigration{SQLState: "42601", PlanHash: planHash(three[:1]), Generation: 5}
			},
			run: 2,
		},
		"the plan has failed for another spec": {
			change: func(s *situation) {
				s.files = three[:2]
				s.object.Status.Failed = &v1alpha1.FailedMigration{SQLState: "42601", PlanHash: planHash(three[:2]), Generation: 4}
			},
			run: 2,
		},
		"drift is reported after a failure": {
			change: func(s *situation) {
				s.seen.ledger = applied(three, 1)
				s.files = []migration.File{file(t, "0001_a.sql", "SELECT 1;"), three[1]}
				s.object.Status.Failed = &v1alpha1.FailedMigration{SQLState: "42601", PlanHash: planHash(three[1:2]), Generation: 5}
			},
			reason: v1alpha1.ReasonTampered, drifted: true,
		},
		"interrupted, and resumed": {
			change: func(s *situation) {
				s.files, s.seen.ledger = []migration.File{three[0], three[1], index}, applied(three, 2)
				interrupted(&s.seen.ledger, index, index.Checksum)
			},
			run: 1,
		},
		"interrupted, and edited": {
			change: func(s *situation) {
				s.files, s.seen.ledger = []migration.File{three[0], three[1], index}, applied(three, 2)
				interrupted(&s.seen.ledger, index, "another")
			},
			reason: v1alpha1.ReasonDirty, words: []string{"version 3 was interrupted", "goose_db_running"},
		},
		"interrupted, and missing": {
			change: func(s *situation) {
				s.files, s.seen.ledger = three[:2], applied(three, 2)
				interrupted(&s.seen.ledger, index, index.Checksum)
			},
			reason: v1alpha1.ReasonDirty,
		},
		"interrupted, and beyond the target": {
			change: func(s *situation) {
				s.files, s.seen.ledger, s.object.Spec.TargetVersion = []migration.File{three[0], three[1], index}, applied(three, 1), target(2)
				interrupted(&s.seen.ledger, index, index.Checksum)
			},
			reason: v1alpha1.ReasonDirty, words: []string{"targetVersion"},
		},
		"a type becomes narrower": {
			change: func(s *situation) {
				s.files, s.seen.ledger = append(slices.Clone(three[:2]), file(t, "0003_c.sql", "ALTER TABLE a ALTER y TYPE smallint;")), applied(three, 2)
				s.seen.types = map[migration.Column]string{{Table: `"a"`, Name: "y"}: "integer"}
			},
			reason: v1alpha1.ReasonApprovalRequired, words: []string{`0003: changes the type of column y of "a" from int4 to int2`},
		},
		"a type becomes wider": {
			change: func(s *situation) {
				s.files, s.seen.ledger = append(slices.Clone(three[:2]), file(t, "0003_c.sql", "ALTER TABLE a ALTER y TYPE bigint;")), applied(three, 2)
				s.seen.types = map[migration.Column]string{{Table: `"a"`, Name: "y"}: "integer"}
			},
			run: 1,
		},
	} {
		s := &situation{
			object: &v1alpha1.DatabaseSchema{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "store", Generation: 5}},
			files:  three, seen: observed{databaseID: here},
		}
		c.change(s)
		o := analyze(s.object.Spec.TargetVersion, s.files, s.seen.ledger, analysis{}, refuse)
		d := decide(s.object, o, s.seen)
		if d.reason != c.reason || d.ready != c.ready || len(d.run) != c.run || d.drifted != c.drifted {
			t.Errorf("%s: %q (ready %t, drifted %t), runs %d, says %s", name, d.reason, d.ready, d.drifted, len(d.run), d.message)
		}
		if again := decide(s.object, analyze(s.object.Spec.TargetVersion, s.files, s.seen.ledger, analysis{}, refuse), s.seen); again.message != d.message {
			t.Errorf("%s: message %s, then %s", name, d.message, again.message)
		}
		for _, w := range c.words {
			if !strings.Contains(d.message, w) {
				t.Errorf("%s: %q is not in: %s", name, w, d.message)
			}
		}
	}
}

func TestGooseMigrationsAreAdopted(t *testing.T) {
	t.Parallel()
	three := threeFiles(t)
	ledger := applied(three, 2)
	ledger.Applied[1].Checksum = ""
	for name, c := range map[string]struct {
		files []migration.File
		sign  int
	}{
		"up to date":         {three[:2], 1},
		"waits for approval": {three, 1},
		"drifted":            {[]migration.File{file(t, "0001_a.sql", "SELECT 1;"), three[1]}, 0},
	} {
		d := decide(new(v1alpha1.DatabaseSchema), analyze(nil, c.files, ledger, analysis{}, refuse), observed{databaseID: here, ledger: ledger})
		if len(d.adopt) != c.sign || len(d.run) != 0 || d.changes() != (c.sign > 0) {
			t.Errorf("%s: signs %d, runs %d", name, len(d.adopt), len(d.run))
		}
	}
}

func TestStatusIsBounded(t *testing.T) {
	t.Parallel()
	var files []migration.File
	for i := range 500 {
		files = append(files, file(t, fmt.Sprintf("%04d_a.sql", i+1), "DROP TABLE "+strings.Repeat("a, ", 500)+"b;"))
	}
	s := new(v1alpha1.DatabaseSchema)
	o := analyze(nil, files, migration.Ledger{}, analysis{}, refuse)
	d := decide(s, o, observed{})
	if len(d.plan.Versions) != 100 || len(d.plan.Destructive) != 20 || len(o.pending) != 500 {
		t.Errorf("%d versions, %d reasons, %d pending", len(d.plan.Versions), len(d.plan.Destructive), len(o.pending))
	}
	for _, what := range append(d.plan.Destructive, d.message) {
		if len(what) > 1500 {
			t.Errorf("%d bytes: %s", len(what), what)
		}
	}
	if !strings.Contains(d.message, "kubectl") {
		t.Errorf("the message does not say what to do: %s", d.message)
	}
}

func TestPlanHash(t *testing.T) {
	t.Parallel()
	three := threeFiles(t)
	renumbered := three[0]
	renumbered.Version = 9
	seen := map[string]string{}
	for name, files := range map[string][]migration.File{
		"all": three, "two": three[:2], "the others": three[1:], "renumbered": {renumbered, three[1], three[2]},
		"another order": {three[1], three[0], three[2]}, "none": nil,
	} {
		hash := planHash(files)
		if len(hash) != 64 || seen[hash] != "" {
			t.Errorf("%s has the same hash %q as %q", name, hash, seen[hash])
		}
		seen[hash] = name
	}
}

func TestTransientErrors(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]bool{
		"55P03": true, "57014": true, "40001": true, "40P01": true, "25006": true, "08006": true, "53300": true, "53100": true, "57P01": true, "57P03": true,
		"42601": false, "23505": false, "42501": false, "0A000": false, "40002": false, "55000": false, "57000": false, "": false, "XX000": false,
	} {
		if transient(state) != want {
			t.Errorf("%s passes: %t, want %t", state, !want, want)
		}
	}
}
