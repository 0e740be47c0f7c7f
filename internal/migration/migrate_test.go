package migration_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/test/database"
)

func TestMain(m *testing.M) {
	if code := database.With(m, nil).Run(); code != 0 {
		os.Exit(code)
	}
	os.Exit(leaks())
}

func leaks() int {
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// limit bounds each wait, far above what one takes on a busy machine.
const limit = time.Minute

// up returns files with the SQL, numbered from 1.
func up(t *testing.T, sql ...string) []migration.File {
	t.Helper()
	var files []migration.File
	for i, s := range sql {
		if !strings.Contains(s, "+goose Up") {
			s = "-- +goose Up\n" + s + ";\n"
		}
		f, err := migration.NewFile(fmt.Sprintf("%04d_file.sql", i+1), s)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// nonTransactional returns a file without a transaction.
func nonTransactional(sql string) string {
	return "-- +goose NO TRANSACTION\n-- +goose Up\n" + sql + ";\n"
}

func migrate(t *testing.T, url string, files []migration.File) {
	t.Helper()
	if err := migration.Migrate(t.Context(), url, files); err != nil {
		t.Fatal(err)
	}
}

// refused migrates, and checks that the error has these words.
func refused(t *testing.T, url string, files []migration.File, words ...string) {
	t.Helper()
	err := migration.Migrate(t.Context(), url, files)
	if err == nil {
		t.Fatalf("it is migrated; want an error with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in: %v", w, err)
		}
	}
}

// await polls until the query returns true.
func await(t *testing.T, conn *pgx.Conn, what, sql string, args ...any) {
	t.Helper()
	end := time.After(limit)
	for again := time.Tick(20 * time.Millisecond); !database.Ask[bool](t, conn, sql, args...); {
		select {
		case <-again:
		case <-end:
			t.Fatalf("%s did not come", what)
		}
	}
}

func open(t *testing.T, url string) *migration.Session {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := migration.Open(t.Context(), config, migration.Options{Name: "test", LockTimeout: time.Second, StatementTimeout: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func ledger(t *testing.T, url string) migration.Ledger {
	t.Helper()
	l, err := open(t, url).ReadLedger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFailureLeavesNothingAndNamesTheStatement(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	files := up(t, "CREATE TABLE a (x int)", "CREATE TABLE b (x int);\nSELECT 'a password', nothing FROM a;\nCREATE TABLE c (x int)", "CREATE TABLE d (x int)")
	refused(t, url, files, "0002_file.sql", `column "nothing" does not exist`, "42703", "SELECT 'a password …")
	err := migration.Migrate(t.Context(), url, files)
	failure, server := new(migration.Failure), new(pgconn.PgError)
	if !errors.As(err, &failure) || failure.File.Version != 2 || !errors.As(err, &server) || server.Code != "42703" {
		t.Errorf("%#v is not a failure that can be asked", err)
	}
	conn := database.Connect(t, url)
	if got := database.Ask[string](t, conn, `SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname ~ '^[abcd]$'`); got != "a" {
		t.Errorf("tables %s, want a", got)
	}
	if l := ledger(t, url); len(l.Applied) != 1 {
		t.Errorf("the ledger is %+v", l)
	}
	files[1] = up(t, "", "CREATE TABLE b (x int)")[1]
	migrate(t, url, files)
	err = migration.Migrate(t.Context(), url, append(files, up(t, "", "", "", "SELECT nothing, '"+strings.Repeat("ä", 5000)+"'")[3]))
	if !errors.As(err, &failure) || len([]rune(failure.Statement)) != 1000 || !strings.HasSuffix(failure.Statement, "ä…") {
		t.Errorf("a long statement is shown as %s", failure.Statement)
	}
}

func TestFailedCommitIsReported(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	refused(t, url, up(t, "CREATE TABLE a (x int PRIMARY KEY, y int REFERENCES a DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO a VALUES (1, 2)"),
		"23503", "the statement: COMMIT")
	if l := ledger(t, url); len(l.Applied) != 0 {
		t.Errorf("the ledger is %+v", l)
	}
}

// goose's rule splits a statement that is not enclosed even inside a string.
func TestSplitStatementIsExplained(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	for name, sql := range map[string]string{
		"dollar-quoted string": "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN RETURN 1;\nEND $$",
		"quoted string":        "SELECT 'a;\n b'",
		"quoted identifier":    "SELECT 1 AS \"a;\n b\"",
		"/* comment":           "SELECT 1 /* a;\n b */",
	} {
		refused(t, url, up(t, sql), "unterminated "+name, "'-- +goose StatementBegin'")
	}
}

func TestAllFilesAreParsedBeforeAnyRuns(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	refused(t, url, up(t, "CREATE TABLE a (x int)", "-- +goose Up\nSELECT 1"), "0002_file.sql", "semicolon")
	if database.Ask[bool](t, database.Connect(t, url), `SELECT to_regclass('a') IS NOT NULL`) {
		t.Error("the file before it was run")
	}
}

func TestConcurrentRunsApplyEachFileOnce(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	files := up(t, "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);\nSELECT pg_sleep(0.3)",
		nonTransactional("CREATE INDEX CONCURRENTLY a_x ON a (x)"), // waits for all that others have begun, such as waiting for a lock
		"INSERT INTO a VALUES (2)")
	var all errgroup.Group
	for range 5 {
		all.Go(func() error { return migration.Migrate(t.Context(), url, files) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := database.Ask[int](t, database.Connect(t, url), `SELECT count(*) FROM a`); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestFilesDoNotInheritSettings(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	migrate(t, url, up(t,
		"CREATE ROLE heir_of_nothing SUPERUSER;\nSET search_path = pg_catalog;\nSET lock_timeout = '7s';\nSET ROLE heir_of_nothing",
		"CREATE TABLE a AS SELECT current_setting('search_path') AS path, current_setting('lock_timeout') AS lock, current_user AS who",
		"SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.b (x int)", // as pg_dump writes
		"DROP ROLE heir_of_nothing"))
	conn := database.Connect(t, url)
	if got := database.Ask[string](t, conn, `SELECT path || ' ' || lock || ' ' || (who = session_user) FROM a`); got != `"$user", public 0 true` {
		t.Errorf("the second file found %s", got)
	}
	if n := database.Ask[int](t, conn, `SELECT count(*) FROM pg_class WHERE relname = 'goose_db_version'`); n != 1 {
		t.Errorf("%d ledgers", n)
	}
}

func TestRoleSettingIsKept(t *testing.T) {
	t.Parallel()
	address := database.Empty(t)
	conn := database.Connect(t, address)
	database.Exec(t, conn, `CREATE ROLE owner_of_all NOLOGIN; CREATE ROLE migrator_for_owner LOGIN PASSWORD 'pw' IN ROLE owner_of_all;
		ALTER ROLE migrator_for_owner SET role = 'owner_of_all'; GRANT ALL ON SCHEMA public TO owner_of_all`)
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), `DROP OWNED BY owner_of_all; DROP ROLE migrator_for_owner, owner_of_all`); err != nil {
			t.Errorf("drop the roles, which are the whole server's: %v", err)
		}
	})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("migrator_for_owner", "pw")
	migrate(t, u.String(), up(t, "CREATE TABLE a (x int)", "CREATE TABLE b (x int)"))
	if got := database.Ask[string](t, conn, `SELECT string_agg(DISTINCT tableowner, ' ') FROM pg_tables WHERE schemaname = 'public'`); got != "owner_of_all" {
		t.Errorf("the tables belong to %s", got)
	}
}

func TestVersionsAreOrderedAsNumbers(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	var files []migration.File
	for _, name := range []string{"9_a.sql", "10_b.sql"} {
		f, err := migration.NewFile(name, "-- +goose Up\nSELECT 1;\n")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	migrate(t, url, files)
	versions := slices.Collect(func(yield func(int64) bool) {
		for _, a := range ledger(t, url).Applied {
			yield(a.Version)
		}
	})
	if !slices.Equal(versions, []int64{9, 10}) {
		t.Errorf("applied %v", versions)
	}
}

func TestFailedStatementIsCutAtAPassword(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	for _, secret := range []string{"'hidden'", "$$hidden$$", `E'a\'hidden'`} {
		err := migration.Migrate(t.Context(), url, up(t, "ALTER ROLE nobody_of_that_name PASSWORD "+secret))
		if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "ALTER ROLE nobody") {
			t.Errorf("%s: %v", secret, err)
		}
	}
}
