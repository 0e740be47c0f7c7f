package main

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/database"
)

const (
	table     = "CREATE TABLE a AS SELECT 1 AS x UNION ALL SELECT 1"
	buildI    = "CREATE INDEX CONCURRENTLY i ON a (x)"
	wholeI    = `SELECT coalesce((SELECT indisvalid AND NOT indisunique FROM pg_index WHERE indexrelid = to_regclass('i')), false)`
	noMarks   = `SELECT count(*) = 0 FROM goose_db_running`
	oneMark   = `SELECT count(*) = 1 FROM goose_db_running`
	leaveMark = `INSERT INTO goose_db_running (version_id, checksum) VALUES (2, $1)`
)

func checksum(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func TestConcurrentIndex(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	url := database.Empty(t)
	c.awaitVersion(c.declared(url, up(table, nonTransactional(buildI))), 2)
	if conn := database.Connect(t, url); !database.Ask[bool](t, conn, wholeI) || !database.Ask[bool](t, conn, noMarks) {
		t.Error("the index is missing, or a mark is left")
	}
}

// TestInterruptedIndexIsReportedAndResumed begins with the state that a process leaves when it is
// killed while the server builds an index.
func TestInterruptedIndexIsReportedAndResumed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	url := database.Empty(t)
	conn := database.Connect(t, url)
	s := c.awaitVersion(c.declared(url, up(table)), 1)
	if _, err := conn.Exec(t.Context(), `CREATE UNIQUE INDEX CONCURRENTLY i ON a (x)`); err == nil || database.Ask[bool](t, conn, `SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass`) {
		t.Fatalf("the index is complete: %v", err)
	}
	database.Exec(t, conn, leaveMark, checksum(nonTransactional(buildI)))
	c.edit(up(table, nonTransactional(buildI)))
	c.awaitVersion(s, 2)
	if e := c.awaitEvent(s, v1alpha1.ReasonDirty); e.Type != "Warning" || !strings.Contains(e.Note, "version 2 was interrupted") {
		t.Errorf("the event is %s: %s", e.Type, e.Note)
	}
	if !database.Ask[bool](t, conn, wholeI) || !database.Ask[bool](t, conn, noMarks) {
		t.Error("the index is wrong, or the mark is left")
	}
}

func TestEditedInterruptedFileIsDirty(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate()
	url := database.Empty(t)
	conn := database.Connect(t, url)
	s := c.awaitVersion(c.declared(url, up(table)), 1)
	database.Exec(t, conn, leaveMark, checksum(nonTransactional(buildI)))
	c.edit(up(table, nonTransactional(buildI+" WHERE x > 0")))
	now := c.awaitSchema(s, false, v1alpha1.ReasonDirty)
	if !strings.Contains(message(now), "goose_db_running") {
		t.Errorf("the message does not say what to do: %s", message(now))
	}
	o.awaitReadings(t, 2)
	if database.Ask[bool](t, conn, wholeI) || !database.Ask[bool](t, conn, oneMark) {
		t.Error("the file was run, or the mark is gone")
	}
	database.Exec(t, conn, `DELETE FROM goose_db_running`)
	c.awaitVersion(s, 2)
}

func TestFailedIndexIsCleanedUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	url := database.Empty(t)
	conn := database.Connect(t, url)
	s := c.declared(url, up(table, nonTransactional("CREATE UNIQUE INDEX CONCURRENTLY i ON a (x)")))
	now := c.awaitSchema(s, false, v1alpha1.ReasonFailed)
	if f := now.Status.Failed; f == nil || f.SQLState != "23505" {
		t.Errorf("the status is %+v", now.Status)
	}
	if database.Ask[bool](t, conn, `SELECT to_regclass('i') IS NOT NULL`) || !database.Ask[bool](t, conn, noMarks) {
		t.Error("an index or a mark is left")
	}
	c.edit(up(table, nonTransactional(buildI)))
	c.awaitVersion(s, 2)
}
