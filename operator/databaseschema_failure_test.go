package main

import (
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/eventually"
)

// TestFailedMigrationWaitsForAChange counts attempts with a sequence, which a rollback does not
// reset.
func TestFailedMigrationWaitsForAChange(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate()
	address := database.Empty(t)
	conn := database.Connect(t, address)
	f := up("CREATE SEQUENCE attempts", "CREATE TABLE b (x int);\nSELECT nextval('attempts');\nINSERT INTO b SELECT 1 / 0;\nCREATE TABLE d (x int)")
	s := c.declared(address, f)
	attempts := func(want int) {
		t.Helper()
		if n := database.Ask[int](t, conn, `SELECT last_value FROM attempts`); n != want {
			t.Errorf("%d attempts, want %d", n, want)
		}
	}

	now := c.awaitSchema(s, false, v1alpha1.ReasonFailed)
	failed := now.Status.Failed
	if failed == nil || failed.Version != 2 || failed.Statement != "INSERT INTO b SELECT 1 / 0;" || failed.SQLState != "22012" || failed.Message != "division by zero" {
		t.Errorf("the failure is %+v", failed)
	}
	for _, word := range []string{"version 2", "INSERT INTO b SELECT 1 / 0;", "22012", "division by zero"} {
		if !strings.Contains(message(now), word) {
			t.Errorf("%q is not in: %s", word, message(now))
		}
	}
	if now.Status.Version != 1 || now.Status.Pending != 1 || tables(t, conn) != "" {
		t.Errorf("the tables are %q, and the status is %+v", tables(t, conn), now.Status)
	}
	c.awaitEvent(s, v1alpha1.ReasonFailed)

	o.awaitReadings(t, 3)
	attempts(1)
	o.stop()
	o = c.operate()
	o.awaitUp(t)
	o.awaitReadings(t, 2)
	attempts(1)

	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.Paused = true })
	c.awaitSchema(s, false, v1alpha1.ReasonPaused)
	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.Paused = false })
	c.awaitSchema(s, false, v1alpha1.ReasonFailed)
	attempts(2)

	f["0002_file.sql"] = "-- +goose Up\nCREATE TABLE b (x int);\n"
	c.edit(f)
	if now := c.awaitVersion(s, 2); now.Status.Failed != nil || now.Status.Plan != nil {
		t.Errorf("the status is %+v", now.Status)
	}
	attempts(2)
}

func TestDriftIsReportedAfterAFailure(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	f := up("CREATE TABLE a (x int)", "SELECT nothing")
	s := c.declared(database.Empty(t), f)
	c.awaitSchema(s, false, v1alpha1.ReasonFailed)
	f["0001_file.sql"] = "-- +goose Up\nCREATE TABLE a (y int);\n"
	c.edit(f)
	c.awaitSchema(s, false, v1alpha1.ReasonTampered)
}

func TestConcurrentMigrationsAreLocked(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate(func(s *Settings) { s.DatabaseSchema.LockTimeout = 300 * time.Millisecond })
	address := database.Empty(t)
	local := database.Connect(t, address)
	database.Exec(t, local, `SELECT pg_advisory_lock($1)`, int64(migration.LockID))
	s := c.declared(address, up("CREATE TABLE a (x int)"))
	if now := c.awaitSchema(s, false, v1alpha1.ReasonLocked); !strings.Contains(message(now), "PostgreSQL's process") {
		t.Errorf("the message is %s", message(now))
	}
	o.awaitReadings(t, 2)
	if got := tables(t, local); got != "" {
		t.Errorf("the tables are %s", got)
	}
	database.Exec(t, local, `SELECT pg_advisory_unlock($1)`, int64(migration.LockID))
	c.awaitVersion(s, 1)
}

// TestLockTimeout: waiting for a lock blocks all later statements, so a migration waits only
// briefly.
func TestLockTimeout(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate(func(s *Settings) { s.DatabaseSchema.LockTimeout = 300 * time.Millisecond })
	address := database.Empty(t)
	reader, other := database.Connect(t, address), database.Connect(t, address)
	database.Exec(t, reader, `CREATE TABLE a (x int)`)
	tx, err := reader.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT * FROM a`); err != nil {
		t.Fatal(err)
	}
	s := c.declared(address, up("CREATE TABLE b (x int)", "CREATE TABLE d (x int);\nALTER TABLE a ADD COLUMN y int"))
	now := c.awaitSchema(s, false, v1alpha1.ReasonRetrying)
	if f := now.Status.Failed; f == nil || f.SQLState != "55P03" || f.Statement != "ALTER TABLE a ADD COLUMN y int;" || now.Status.Version != 1 {
		t.Errorf("the status is %+v", now.Status)
	}
	if got := tables(t, other); got != "a b" {
		t.Errorf("the tables are %s", got)
	}
	database.Exec(t, other, `SET statement_timeout = '20s'; SELECT * FROM a`) // reads are not blocked permanently
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitVersion(s, 2)
}

func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate(func(s *Settings) {
		s.DatabaseSchema.LockTimeout, s.DatabaseSchema.StatementTimeout = 100*time.Millisecond, 300*time.Millisecond
	})
	s := c.declared(database.Empty(t), up("SELECT pg_sleep(600)"))
	now := c.awaitSchema(s, false, v1alpha1.ReasonRetrying)
	if f := now.Status.Failed; f == nil || f.SQLState != "57014" {
		t.Errorf("the status is %+v", now.Status)
	}
	c.edit(up("SELECT 1"))
	c.awaitVersion(s, 1)
}

func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	address := server.URL("postgres")
	s := c.awaitVersion(c.declared(address, up("CREATE TABLE a (x int)")), 1)
	server.Kill()
	now := c.awaitSchema(s, false, v1alpha1.ReasonUnreachable)
	if !strings.Contains(message(now), "connection refused") || now.Status.Version != 1 || !is(now, v1alpha1.Drifted, false, v1alpha1.ReasonAsDeclared) {
		t.Errorf("the status is %+v", now.Status)
	}
	c.awaitEvent(s, v1alpha1.ReasonUnreachable)
	c.edit(up("CREATE TABLE a (x int)", "CREATE TABLE b (x int)"))
	eventually.True(t, limit, "several attempts", func() bool {
		return o.metric(t, "merchstore_operator_call_seconds", map[string]string{"operation": "connect", "outcome": "error"}) >= 3
	})
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitVersion(s, 2)
}

func TestDatabaseOutageDuringAMigration(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	conn := database.Connect(t, server.URL("postgres"))
	database.Exec(t, conn, `CREATE TABLE wait (x int); INSERT INTO wait VALUES (600)`)
	s := c.declared(server.URL("postgres"), up("CREATE TABLE a (x int)", "CREATE TABLE b (x int);\nSELECT pg_sleep(x) FROM wait"))
	awaitAnswer(t, conn, "the sleep", `SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)
	database.Exec(t, conn, `UPDATE wait SET x = 0`)
	server.Kill()
	c.awaitSchemaWhere(s, "unready", func(s *v1alpha1.DatabaseSchema) bool {
		return is(s, v1alpha1.Ready, false, v1alpha1.ReasonUnreachable) || is(s, v1alpha1.Ready, false, v1alpha1.ReasonRetrying)
	})
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitVersion(s, 2)
}
