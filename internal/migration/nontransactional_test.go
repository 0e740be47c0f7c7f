package migration_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/test/database"
)

// indexed returns a database with a table whose x is not unique, and the files: the table's, and one
// without a transaction.
func indexed(t *testing.T, sql string) (string, *pgx.Conn, []migration.File) {
	t.Helper()
	url := database.Empty(t)
	files := up(t, "CREATE SCHEMA s;\nCREATE TABLE s.a (x int, y int);\nINSERT INTO s.a VALUES (1, 1), (1, 2);\nCREATE INDEX there ON s.a (y)", nonTransactional(sql))
	migrate(t, url, files[:1])
	return url, database.Connect(t, url), files
}

// interrupt leaves the mark of a process that was killed during a file.
func interrupt(t *testing.T, conn *pgx.Conn, f migration.File) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), `INSERT INTO goose_db_running (version_id, checksum) VALUES ($1, $2)`, f.Version, f.Checksum); err != nil {
		t.Fatal(err)
	}
}

// broken leaves an invalid index.
func broken(t *testing.T, conn *pgx.Conn, name string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), fmt.Sprintf(`CREATE UNIQUE INDEX CONCURRENTLY %s ON s.a (x)`, name)); err == nil {
		t.Fatal("the index was built")
	}
	if database.Ask[bool](t, conn, `SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)`, "s."+name) {
		t.Fatal("the index is valid")
	}
}

func TestParseNonTransactional(t *testing.T) {
	t.Parallel()
	for statement, ok := range map[string]bool{
		"CREATE INDEX CONCURRENTLY a ON t (x);":                                            true,
		"create unique index concurrently if not exists \"a b\"\"c\" on only s . t (x);":   true,
		"/* a /* nested */ */ CREATE -- to the end\n INDEX CONCURRENTLY a ON \"S\".t (x);": true,
		"DROP INDEX CONCURRENTLY IF EXISTS s.a;":                                           true,
		"VACUUM (ANALYZE) t;":                                                              true,
		"CREATE INDEX CONCURRENTLY ON t (x);":                                              false,
		"CREATE INDEX CONCURRENTLY":                                                        false,
		"CREATE INDEX a ON t (x);":                                                         false,
		"REINDEX INDEX CONCURRENTLY a;":                                                    false,
		"CREATE DATABASE d;":                                                               false,
		"INSERT INTO t VALUES (1);":                                                        false,
		"ALTER SYSTEM SET fsync = off;":                                                    false,
		"-- CREATE INDEX CONCURRENTLY a ON t (x)":                                          false,
		"/*": false,
		"\"": false,
		"":   false,
	} {
		if _, err := migration.ParseNonTransactional(migration.Script{Statements: []string{statement}}); (err == nil) != ok {
			t.Errorf("%s: %v; want it taken: %t", statement, err, ok)
		}
	}
	for _, number := range []int{0, 2} {
		if _, err := migration.ParseNonTransactional(migration.Script{Statements: slices.Repeat([]string{"VACUUM;"}, number)}); err == nil {
			t.Errorf("%d statements are taken", number)
		}
	}
}

func TestCreateIndexResumes(t *testing.T) {
	t.Parallel()
	const build = `CREATE INDEX CONCURRENTLY "An x" ON s.a (x)`
	for name, c := range map[string]struct {
		sql    string
		before func(t *testing.T, conn *pgx.Conn, f migration.File)
	}{
		"never begun":                 {build, func(*testing.T, *pgx.Conn, migration.File) {}},
		"interrupted before it began": {build, interrupt},
		"interrupted halfway": {build, func(t *testing.T, conn *pgx.Conn, f migration.File) {
			interrupt(t, conn, f)
			broken(t, conn, `"An x"`)
		}},
		"interrupted when it was built": {build, func(t *testing.T, conn *pgx.Conn, f migration.File) {
			interrupt(t, conn, f)
			database.Exec(t, conn, build)
		}},
		"left invalid by others, with IF NOT EXISTS": {
			`CREATE INDEX CONCURRENTLY IF NOT EXISTS "An x" ON s.a (x)`,
			func(t *testing.T, conn *pgx.Conn, _ migration.File) { broken(t, conn, `"An x"`) },
		},
		"built by others, with IF NOT EXISTS": {
			`CREATE INDEX CONCURRENTLY IF NOT EXISTS "An x" ON s.a (x)`,
			func(t *testing.T, conn *pgx.Conn, _ migration.File) { database.Exec(t, conn, build) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, conn, files := indexed(t, c.sql)
			c.before(t, conn, files[1])
			migrate(t, url, files)
			migrate(t, url, files)
			const whole = `SELECT count(*) = 1 AND bool_and(indisvalid) AND bool_and(NOT indisunique) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname = 'An x'`
			if !database.Ask[bool](t, conn, whole) {
				t.Error("there is no valid index, or more than one")
			}
			if l := ledger(t, url); len(l.Applied) != 2 || len(l.Interrupted) != 0 {
				t.Errorf("the ledger is %+v", l)
			}
		})
	}
}

func TestFailedCreateIndexLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sql, state string }{
		"its rows are not unique, its name is truncated, with IF NOT EXISTS": {
			"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_" + strings.Repeat("x", 70) + " ON s.a (x)", "23505",
		},
		"its rows are not unique": {"CREATE UNIQUE INDEX CONCURRENTLY a_x ON s.a (x)", "23505"},
		"it is there already":     {"CREATE INDEX CONCURRENTLY there ON s.a (x)", "42P07"},
		"its table is not there":  {"CREATE INDEX CONCURRENTLY a_x ON s.b (x)", "42P01"},
		"its column is not there": {"CREATE INDEX CONCURRENTLY a_x ON s.a (z)", "42703"},
		"none to drop":            {"DROP INDEX CONCURRENTLY s.a_x", "42704"},
		"none to vacuum":          {"VACUUM s.b", "42P01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, conn, files := indexed(t, c.sql)
			refused(t, url, files, c.state, c.sql)
			if got := database.Ask[string](t, conn, `SELECT string_agg(relname, ' ') FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 's.a'::regclass`); got != "there" {
				t.Errorf("indexes: %s", got)
			}
			if l := ledger(t, url); len(l.Applied) != 1 || len(l.Interrupted) != 0 {
				t.Errorf("the ledger is %+v", l)
			}
			files[1] = up(t, "", nonTransactional("CREATE INDEX CONCURRENTLY a_x ON s.a (x)"))[1]
			migrate(t, url, files)
		})
	}
}

func TestDropIndexResumes(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*testing.T, *pgx.Conn, migration.File){
		"never begun":                 func(*testing.T, *pgx.Conn, migration.File) {},
		"interrupted before it began": interrupt,
		"interrupted when it was gone": func(t *testing.T, conn *pgx.Conn, f migration.File) {
			interrupt(t, conn, f)
			database.Exec(t, conn, "DROP INDEX s.there")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, conn, files := indexed(t, "DROP INDEX CONCURRENTLY s.there")
			before(t, conn, files[1])
			migrate(t, url, files)
			if database.Ask[bool](t, conn, `SELECT to_regclass('s.there') IS NOT NULL`) {
				t.Error("the index is still there")
			}
			if l := ledger(t, url); len(l.Applied) != 2 || len(l.Interrupted) != 0 {
				t.Errorf("the ledger is %+v", l)
			}
		})
	}
}

func TestVacuumResumes(t *testing.T) {
	t.Parallel()
	url, conn, files := indexed(t, "VACUUM s.a")
	interrupt(t, conn, files[1])
	migrate(t, url, files)
	if l := ledger(t, url); len(l.Applied) != 2 || len(l.Interrupted) != 0 {
		t.Errorf("the ledger is %+v", l)
	}
}

func TestEditedInterruptedFileIsRefused(t *testing.T) {
	t.Parallel()
	url, conn, files := indexed(t, "VACUUM s.a")
	interrupt(t, conn, files[1])
	edited := []migration.File{files[0], up(t, "", nonTransactional("VACUUM"))[1]}
	refused(t, url, edited, "version 2 was interrupted, and its file was edited or removed since")
	if l := ledger(t, url); len(l.Applied) != 1 || len(l.Interrupted) != 1 {
		t.Errorf("the ledger is %+v", l)
	}
	migrate(t, url, files)
}

// The mark precedes the statement. There is none if the result exists already: after a crash, the mark
// would claim it.
func TestMarkIsWrittenFirst(t *testing.T) {
	t.Parallel()
	for sql, words := range map[string]string{
		"CREATE INDEX CONCURRENTLY a_x ON s.a (x)":   "marked",
		"DROP INDEX CONCURRENTLY s.there":            "marked",
		"VACUUM s.a":                                 "marked",
		"CREATE INDEX CONCURRENTLY there ON s.a (x)": "42P07",
		"DROP INDEX CONCURRENTLY s.neither_this":     "42704",
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			url, conn, files := indexed(t, sql)
			database.Exec(t, conn, `CREATE FUNCTION marked() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''marked''; END';
				CREATE TRIGGER marked BEFORE INSERT ON goose_db_running FOR EACH ROW EXECUTE FUNCTION marked()`)
			refused(t, url, files, words)
			if database.Ask[bool](t, conn, `SELECT to_regclass('s.a_x') IS NOT NULL OR to_regclass('s.there') IS NULL`) {
				t.Error("it was run before it was marked")
			}
		})
	}
}

// An old transaction delays the statement past the lock timeout, but nobody waits for the statement.
func TestCreateIndexWaitsBeyondTheLockTimeout(t *testing.T) {
	t.Parallel()
	url, conn, files := indexed(t, "CREATE INDEX CONCURRENTLY a_x ON s.a (x)")
	old, err := database.Connect(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Exec(t.Context(), `INSERT INTO s.a VALUES (2, 2)`); err != nil {
		t.Fatal(err)
	}
	s := open(t, url) // with a lock timeout of one second
	if err := errors.Join(s.Lock(t.Context(), 0), s.Prepare(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Apply(t.Context(), files[1]) }()
	await(t, conn, "a long wait", `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
		AND application_name = 'test' AND wait_event_type = 'Lock' AND query_start < clock_timestamp() - interval '2 s')`)
	if err := old.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
