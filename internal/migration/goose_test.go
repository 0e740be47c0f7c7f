package migration_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/test/database"
)

// newGoose returns goose's own runner for the files and the database at url.
func newGoose(t *testing.T, url string, files []migration.File) *goose.Provider {
	t.Helper()
	root := fstest.MapFS{}
	for _, f := range files {
		root[f.Name] = &fstest.MapFile{Data: []byte(f.SQL)}
	}
	db, err := sql.Open("pgx", url) // goose.OpenDBWithDriver sets a global
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	provider, err := goose.NewProvider(goose.DialectPostgres, db, root)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func gooseUp(t *testing.T, url string, files []migration.File, want ...int64) {
	t.Helper()
	results, err := newGoose(t, url, files).Up(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, r := range results {
		got = append(got, r.Source.Version)
	}
	if !slices.Equal(got, want) {
		t.Errorf("goose applied %v, want %v", got, want)
	}
}

// wantChecksums checks that the ledger has a row with name and checksum for each file.
func wantChecksums(t *testing.T, url string, files []migration.File) {
	t.Helper()
	var want []migration.Applied
	for _, f := range files {
		a := migration.Applied{Version: f.Version, Name: f.Name, Checksum: f.Checksum}
		want = append(want, a)
	}
	untimed := cmpopts.IgnoreFields(migration.Applied{}, "At", "Took")
	if diff := cmp.Diff(want, ledger(t, url).Applied, untimed); diff != "" {
		t.Errorf("the ledger differs: %s", diff)
	}
}

// compatible are files for both runners, of all kinds.
func compatible(t *testing.T) []migration.File {
	t.Helper()
	return up(t,
		"CREATE TABLE a (x int);\nINSERT INTO a VALUES (1)",
		"-- +goose Up\n-- +goose StatementBegin\n"+
			"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1;\nEND $$;\n"+
			"-- +goose StatementEnd\n-- +goose Down\nDROP FUNCTION f();\n",
		nonTransactional("CREATE INDEX CONCURRENTLY a_x ON a (x)"),
		"-- +goose Up\nCREATE TABLE b (x int);\n-- +goose Down\nDROP TABLE b;\n")
}

func TestContinuesWhatGooseApplied(t *testing.T) {
	t.Parallel()
	url, files := database.Empty(t), compatible(t)
	gooseUp(t, url, files[:1], 1)
	if l := ledger(t, url); len(l.Applied) != 1 || l.Applied[0].Checksum != "" {
		t.Errorf("the ledger of goose is read as %+v", l)
	}
	migrate(t, url, files[:1]) // there is nothing to run, but a checksum to record
	wantChecksums(t, url, files[:1])
	refused(t, url, up(t, "CREATE TABLE a (y int)"), "edited")
	gooseUp(t, url, files[:2], 2)
	migrate(t, url, files)
	wantChecksums(t, url, files)
}

func TestGooseContinuesWhatWasApplied(t *testing.T) {
	t.Parallel()
	url, files := database.Empty(t), compatible(t)
	migrate(t, url, files[:2])
	gooseUp(t, url, files, 3, 4)
	status, err := newGoose(t, url, files).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range status {
		if s.State != goose.StateApplied || s.AppliedAt.IsZero() {
			t.Errorf("goose finds version %d %s", s.Source.Version, s.State)
		}
	}
	if _, err := newGoose(t, url, files).Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	migrate(t, url, files) // version 4 anew, and the checksum of 3
	wantChecksums(t, url, files)
	gooseUp(t, url, files)
}

// TestLedgerIsGoosesTable compares the tables that both create.
func TestLedgerIsGoosesTable(t *testing.T) {
	t.Parallel()
	const columns = `
		SELECT string_agg(concat_ws(' ', column_name, data_type, is_nullable, column_default,
			is_identity, identity_generation), ', ' ORDER BY ordinal_position)
		FROM information_schema.columns
		WHERE table_name = 'goose_db_version'
			AND column_name NOT IN ('name', 'checksum', 'duration_ms')`
	const keys = `
		SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conname)
		FROM pg_constraint WHERE conrelid = 'goose_db_version'::regclass AND contype = 'p'`
	const rows = `
		SELECT string_agg(concat_ws(' ', id, version_id, is_applied), ', ' ORDER BY id)
		FROM goose_db_version`
	files := compatible(t)
	ours, theirs := database.Empty(t), database.Empty(t)
	migrate(t, ours, files)
	gooseUp(t, theirs, files, 1, 2, 3, 4)
	for _, sql := range []string{columns, keys, rows} {
		got := database.Ask[string](t, database.Connect(t, ours), sql)
		if want := database.Ask[string](t, database.Connect(t, theirs), sql); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// FuzzParse compares Parse with goose: whatever Parse accepts, goose runs as the same statements.
// Parse refuses what goose refuses, and what its comment lists.
func FuzzParse(f *testing.F) {
	for _, sql := range []string{
		"-- +goose Up\nCREATE INDEX CONCURRENTLY a ON t (x);\n",
		"-- a\n\n-- +goose Up\n-- b\nSELECT 1\n-- c;\n; -- d\n\n-- +goose Down\nSELECT 2;\n",
		"-- +goose NO TRANSACTION\r\n-- +goose Up\r\nVACUUM;\r\n",
		"-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n-- +goose StatementEnd\nSELECT 2;\n" +
			"-- +goose Down\n-- +goose StatementBegin\nSELECT\n-- +goose StatementEnd\n",
		"-- +goose Up\n-- +goose StatementBegin\n-- +goose StatementEnd\nSELECT 1;\n",
		"-- +goose Up\nSELECT\n-- +goose StatementBegin\n1\n-- +goose StatementEnd\n",
		"-- +goose Up\n  \n-- a\n-- +goose Down\n", "-- +goose Up\n \n-- +goose Down\n-- a\n",
		"-- +goose Up\nSELECT 'a;\n b', $$;\n$$, \"\n;\n\", /* ;\n*/ E'\\';\n';\n",
		"-- +goose Up\nSELECT 1;--\nSELECT 2;\t--\u00a0;\n",
		"-- +goose Up\n-- +goose ENVSUB ON\nSELECT '$HOME';\n",
		" -- +goose Up\n", "--+goose--\tUP\n", "-- +goose +goose Up\n", "/*\"--\x00",
	} {
		f.Add(sql)
	}
	for _, name := range []string{"0001_accounts.sql", "0003_orders.sql"} {
		content, err := os.ReadFile("../../services/db/schema/migrations/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(content))
	}
	f.Fuzz(func(t *testing.T, content string) {
		file, err := migration.NewFile("0001_a.sql", content)
		if err != nil {
			t.Fatal(err)
		}
		got, err := file.Parse()
		for _, ours := range []string{"NUL byte", "ENVSUB", "no statement between"} {
			if err != nil && strings.Contains(err.Error(), ours) {
				return
			}
		}
		want, gooseErr := parseWithGoose(t.Context(), file)
		if (err == nil) != (gooseErr == nil) {
			t.Fatalf("Parse: %v; goose: %v", err, gooseErr)
		}
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			t.Error(diff)
		}
		_, _ = migration.ParseNonTransactional(got)
	})
}

// parseWithGoose returns what goose's own runner would execute. Its parser is not exported, so the
// runner is given a driver that records.
func parseWithGoose(ctx context.Context, f migration.File) (migration.Script, error) {
	r := &recorder{script: migration.Script{NoTransaction: true}}
	db := sql.OpenDB(r)
	defer db.Close()
	root := fstest.MapFS{f.Name: {Data: []byte(f.SQL)}}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, root,
		goose.WithDisableVersioning(true), goose.WithDisableGlobalRegistry(true))
	if err == nil {
		_, err = provider.ApplyVersion(ctx, f.Version, true)
	}
	return r.script, err
}

// recorder is a database driver that records what it is told to execute.
type recorder struct{ script migration.Script }

func (r *recorder) Connect(context.Context) (driver.Conn, error) { return r, nil }
func (r *recorder) Driver() driver.Driver                        { return r }
func (r *recorder) Open(string) (driver.Conn, error)             { return r, nil }
func (r *recorder) Close() error                                 { return nil }
func (r *recorder) Commit() error                                { return nil }
func (r *recorder) Rollback() error                              { return nil }
func (r *recorder) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }

func (r *recorder) Begin() (driver.Tx, error) {
	r.script.NoTransaction = false
	return r, nil
}

func (r *recorder) ExecContext(
	_ context.Context, query string, _ []driver.NamedValue,
) (driver.Result, error) {
	r.script.Statements = append(r.script.Statements, query)
	return driver.ResultNoRows, nil
}
