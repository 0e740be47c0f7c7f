package migration_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/test/database"
)

const notHeld = "the lock on the database is not held by this connection"

func TestLockIsReleasedWithItsConnection(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	holder, other := open(t, url), open(t, url)
	if err := holder.Lock(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := other.Lock(t.Context(), 200*time.Millisecond); !errors.Is(err, migration.ErrLocked) || !strings.Contains(err.Error(), "(test)") {
		t.Errorf("the lock is granted twice, or its holder not named: %v", err)
	}
	canceled, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := other.Lock(canceled, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for the lock ends with: %v", err)
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, url).Lock(t.Context(), limit); err != nil {
		t.Errorf("the lock outlives its holder: %v", err)
	}
}

func TestLostConnectionIsNotReplaced(t *testing.T) {
	t.Parallel()
	url := database.Empty(t)
	s := open(t, url)
	if err := errors.Join(s.Lock(t.Context(), 0), s.Prepare(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	database.Exec(t, database.Connect(t, url), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'test'`)
	files := up(t, "CREATE TABLE a (x int)")
	for range 3 {
		if err := s.Apply(t.Context(), files[0]); err == nil {
			t.Fatal("a file was applied on another connection, without the lock")
		}
	}
	migrate(t, url, files)
}

// Another session holds the lock, as it would behind a pooler in transaction mode.
func TestNothingRunsWithoutTheLock(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"in a transaction": "CREATE TABLE made (x int)",
		"without one":      nonTransactional(`CREATE INDEX CONCURRENTLY "An x" ON s.a (x)`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, conn, files := indexed(t, "VACUUM")
			files[1] = up(t, "", sql)[1]
			broken(t, conn, `"An x"`)
			s, holder := open(t, url), open(t, url)
			if err := errors.Join(holder.Lock(t.Context(), 0), s.Prepare(t.Context(), nil)); err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(t.Context(), files[1]); err == nil || !strings.Contains(err.Error(), notHeld) || strings.Contains(err.Error(), "COMMIT") {
				t.Errorf("it ended with: %v", err)
			}
			if l := ledger(t, url); len(l.Applied) != 1 || len(l.Interrupted) != 0 {
				t.Errorf("the ledger is %+v", l)
			}
			if !database.Ask[bool](t, conn, `SELECT to_regclass('made') IS NULL AND to_regclass('s."An x"') IS NOT NULL`) {
				t.Error("something was run, or an index dropped that another session may be building")
			}
		})
	}
}

// The lock is gone when the file ends, as if that ran on another connection of a pooler.
func TestFileThatLosesTheLockIsNotRecorded(t *testing.T) {
	t.Parallel()
	const letGo = "SELECT pg_advisory_unlock_all()"
	const lose = `CREATE FUNCTION lose(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_unlock_all(); RETURN 1; END'`
	t.Run("in a transaction", func(t *testing.T) {
		t.Parallel()
		url := database.Empty(t)
		refused(t, url, up(t, "CREATE TABLE a (x int);\n"+letGo), "apply 0001_file.sql: "+notHeld, "a pooler in session mode")
		if l := ledger(t, url); len(l.Applied) != 0 || database.Ask[bool](t, database.Connect(t, url), `SELECT to_regclass('a') IS NOT NULL`) {
			t.Errorf("the ledger is %+v, or a table is left", l)
		}
	})
	t.Run("without one", func(t *testing.T) {
		t.Parallel()
		url, conn, files := indexed(t, "CREATE INDEX CONCURRENTLY a_x ON s.a (lose(x))")
		database.Exec(t, conn, lose)
		refused(t, url, files, notHeld)
		if l := ledger(t, url); len(l.Applied) != 1 || len(l.Interrupted) != 1 {
			t.Errorf("the ledger is %+v", l)
		}
		migrate(t, url, files) // the index is valid, and the mark says whose it is
	})
	t.Run("without one, and fails", func(t *testing.T) {
		t.Parallel()
		url, conn, files := indexed(t, "CREATE UNIQUE INDEX CONCURRENTLY a_x ON s.a (lose(x))")
		database.Exec(t, conn, lose)
		refused(t, url, files, "23505")
		if l := ledger(t, url); len(l.Interrupted) != 1 || !database.Ask[bool](t, conn, `SELECT to_regclass('s.a_x') IS NOT NULL`) {
			t.Errorf("the ledger is %+v, or an index was dropped that another session may be building", l)
		}
	})
	t.Run("without one, before it is marked", func(t *testing.T) {
		t.Parallel()
		url, conn, files := indexed(t, "VACUUM s.a")
		database.Exec(t, conn, `CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_unlock_all(); RETURN NEW; END';
			CREATE TRIGGER lose BEFORE INSERT ON goose_db_running FOR EACH STATEMENT EXECUTE FUNCTION lose()`)
		refused(t, url, files, notHeld)
		if l := ledger(t, url); len(l.Applied) != 1 || len(l.Interrupted) != 0 {
			t.Errorf("the ledger is %+v", l)
		}
	})
}

// The statement took effect, without a transaction, before recording it failed.
func TestUnrecordedStatementIsNotRunAgain(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"CREATE INDEX CONCURRENTLY a_x ON s.a (x)", "DROP INDEX CONCURRENTLY s.there"} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			url, conn, files := indexed(t, sql)
			database.Exec(t, conn, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''the disk is full''; END';
				CREATE TRIGGER refuse BEFORE INSERT ON goose_db_version FOR EACH ROW EXECUTE FUNCTION refuse()`)
			refused(t, url, files, "the disk is full")
			database.Exec(t, conn, `DROP TRIGGER refuse ON goose_db_version`)
			migrate(t, url, files)
			if l := ledger(t, url); len(l.Applied) != 2 || len(l.Interrupted) != 0 {
				t.Errorf("the ledger is %+v", l)
			}
		})
	}
}
