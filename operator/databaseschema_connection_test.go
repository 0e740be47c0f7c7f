package main

import (
	"strings"
	"testing"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/database"
)

// TestConnectionErrorsAreReported: they are also retried, because they may be transient.
func TestConnectionErrorsAreReported(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		parameters, sql, reason string
		words                   []string
	}{
		"the lock is gone, as behind a pooler": {
			"", "SELECT pg_advisory_unlock_all()", v1alpha1.ReasonRetrying,
			[]string{"0001_file.sql: the lock on the database is not held by this connection", "a pooler in session mode"},
		},
		"the connection is gone": {
			"", "SELECT pg_terminate_backend(pg_backend_pid())", v1alpha1.ReasonUnreachable,
			[]string{"0001_file.sql", "57P01", "the connection to the database was lost"},
		},
		"there is no place for a ledger": {
			"&search_path=nowhere", "SELECT 1", v1alpha1.ReasonRetrying, []string{"the database has no schema to create tables in"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.operate()
			address := database.Empty(t)
			s := c.declared(address+test.parameters, up(test.sql))
			now := c.awaitSchema(s, false, test.reason)
			for _, w := range test.words {
				if !strings.Contains(message(now), w) {
					t.Errorf("%q is not in: %s", w, message(now))
				}
			}
			c.edit(up("CREATE TABLE a (x int)"))
			c.setURL(address)
			c.awaitVersion(s, 1)
		})
	}
}

// TestCredentialRotation also checks the message for wrong credentials.
func TestCredentialRotation(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	conn := database.Connect(t, server.URL("postgres"))
	database.Exec(t, conn, `CREATE ROLE migrator LOGIN PASSWORD 'first-s3cret'`)
	database.Exec(t, conn, `CREATE DATABASE shop OWNER migrator`)
	s := c.awaitVersion(c.declared(as(t, server.URL("shop"), "migrator", "first-s3cret"), up("CREATE TABLE a (x int)")), 1)
	database.Exec(t, conn, `ALTER ROLE migrator PASSWORD 'second-s3cret'`)
	now := c.awaitSchema(s, false, v1alpha1.ReasonUnreachable)
	if !strings.Contains(message(now), "password authentication failed") {
		t.Errorf("the message is %s", message(now))
	}
	c.setURL(as(t, server.URL("shop"), "migrator", "second-s3cret"))
	c.awaitVersion(s, 1)
	c.hasNoSecret(o, s, "s3cret")
}

func TestOtherDatabaseIsNotMigrated(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate()
	first, second := database.Empty(t), database.Empty(t)
	s := c.awaitVersion(c.declared(first, up("CREATE TABLE a (x int)")), 1)
	c.setURL(second)
	now := c.awaitSchema(s, false, v1alpha1.ReasonDatabaseChanged)
	if now.Status.DatabaseID != s.Status.DatabaseID || !strings.Contains(message(now), s.Status.DatabaseID) || now.Status.Version != 1 {
		t.Errorf("the status is %+v", now.Status)
	}
	o.awaitReadings(t, 2)
	if n := database.Ask[int](t, database.Connect(t, second), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`); n != 0 {
		t.Errorf("the other database has %d tables", n)
	}
	c.setURL(first)
	c.awaitVersion(s, 1)
}
