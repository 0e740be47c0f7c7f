package main

import (
	"slices"
	"strings"
	"testing"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/database"
)

func approve(hash string) func(*v1alpha1.DatabaseSchemaSpec) {
	return func(spec *v1alpha1.DatabaseSchemaSpec) { spec.ApprovedPlan = hash }
}

func TestDestructivePlanWaitsForApproval(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate()
	url := database.Empty(t)
	conn := database.Connect(t, url)
	f := up("CREATE TABLE a AS SELECT 1 AS x, 2 AS y")
	s := c.awaitVersion(c.declared(url, f), 1)
	present := func(want string) {
		t.Helper()
		if got := database.Ask[string](t, conn, `SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute
			WHERE attrelid = 'a'::regclass AND attnum > 0 AND NOT attisdropped`); got != want {
			t.Errorf("the table has %s, want %s", got, want)
		}
	}

	f["0002_b.sql"] = "-- +goose Up\nALTER TABLE a ADD COLUMN z int;\n"
	f["0003_c.sql"] = "-- +goose Up\nALTER TABLE a DROP COLUMN x;\n"
	c.edit(f)
	now := c.awaitSchema(s, false, v1alpha1.ReasonApprovalRequired)
	first := now.Status.Plan
	if now.Status.Pending != 2 || first == nil || !slices.Equal(first.Versions, []int64{2, 3}) || !slices.Equal(first.Destructive, []string{"0003: drops column a.x"}) {
		t.Errorf("the status is %+v", now.Status)
	}
	for _, words := range []string{first.Hash, "0003: drops column a.x", "kubectl -n " + c.namespace + " patch databaseschema store"} {
		if !strings.Contains(message(now), words) {
			t.Errorf("%q is not in: %s", words, message(now))
		}
	}
	o.awaitReadings(t, 2)
	present("x y") // including harmless statements of the plan

	c.respec(s, approve(strings.Repeat("0", 64)))
	c.awaitSchema(s, false, v1alpha1.ReasonApprovalRequired)
	present("x y")

	f["0003_c.sql"] = "-- +goose Up\nALTER TABLE a DROP COLUMN y;\n"
	c.edit(f)
	now = c.awaitSchemaWhere(s, "a new plan", func(s *v1alpha1.DatabaseSchema) bool { return s.Status.Plan != nil && s.Status.Plan.Hash != first.Hash })
	c.respec(s, approve(first.Hash))
	now = c.awaitSchema(now, false, v1alpha1.ReasonApprovalRequired)
	o.awaitReadings(t, 2)
	present("x y")

	c.respec(s, approve(now.Status.Plan.Hash))
	c.awaitVersion(s, 3)
	present("x z")

	f["0004_d.sql"] = "-- +goose Up\nDROP TABLE a;\n"
	c.edit(f)
	c.awaitSchema(s, false, v1alpha1.ReasonApprovalRequired) // the approval was only for that plan
	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.Destructive = v1alpha1.AllowDestructive })
	c.awaitVersion(s, 4)
}

// TestRestOfAnApprovedPlanIsRun: a plan that failed halfway need not be approved again unless it is
// edited.
func TestRestOfAnApprovedPlanIsRun(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	url := database.Empty(t)
	conn := database.Connect(t, url)
	database.Exec(t, conn, `CREATE TABLE a AS SELECT 1 AS x`)
	s := c.declared(url, up("CREATE TABLE b (x int)", "DROP TABLE a;\nSELECT 1 / count(*) FROM b"))
	now := c.awaitSchema(s, false, v1alpha1.ReasonApprovalRequired)
	c.respec(s, approve(now.Status.Plan.Hash))
	if now = c.awaitSchema(s, false, v1alpha1.ReasonFailed); now.Status.Version != 1 || tables(t, conn) != "a b" {
		t.Errorf("the tables are %s, and the status is %+v", tables(t, conn), now.Status)
	}
	database.Exec(t, conn, `INSERT INTO b VALUES (1)`)
	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.TargetVersion = new(int64(2)) }) // triggers a retry
	c.awaitVersion(s, 2)
	if got := tables(t, conn); got != "b" {
		t.Errorf("the tables are %s", got)
	}
}

func TestTypeChangesUseTheDatabasesTypes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	f := up("CREATE TABLE a (x int, y varchar(50), z numeric(10,2))")
	s := c.awaitVersion(c.declared(database.Empty(t), f), 1)
	f["0002_b.sql"] = "-- +goose Up\nALTER TABLE a ALTER x TYPE bigint, ALTER y TYPE text, ALTER z TYPE numeric(12,2);\n"
	c.edit(f)
	c.awaitVersion(s, 2)
	f["0003_c.sql"] = "-- +goose Up\nALTER TABLE public.a ALTER x TYPE int;\n"
	c.edit(f)
	now := c.awaitSchema(s, false, v1alpha1.ReasonApprovalRequired)
	if want := `changes the type of column x of "public"."a" from int8 to int4`; !strings.Contains(message(now), want) {
		t.Errorf("%q is not in: %s", want, message(now))
	}
}

func TestTargetVersion(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate()
	url := database.Empty(t)
	conn := database.Connect(t, url)
	to := func(version int64) func(*v1alpha1.DatabaseSchemaSpec) {
		return func(spec *v1alpha1.DatabaseSchemaSpec) { spec.TargetVersion = &version }
	}
	s := c.declared(url, up("CREATE TABLE a (x int)", "CREATE TABLE b (x int)", "CREATE TABLE d (x int)"), to(1))
	if now := c.awaitVersion(s, 1); now.Status.Pending != 0 || now.Status.Plan != nil || tables(t, conn) != "a" {
		t.Errorf("the tables are %s, and the status is %+v", tables(t, conn), now.Status)
	}
	c.respec(s, to(2))
	c.awaitVersion(s, 2)
	c.respec(s, to(1))
	c.awaitSchema(s, false, v1alpha1.ReasonTargetBehind)
	o.awaitReadings(t, 2)
	if got := tables(t, conn); got != "a b" {
		t.Errorf("the tables are %s", got)
	}
	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.TargetVersion = nil })
	c.awaitVersion(s, 3)
}

// TestGrammarOfAnotherVersion runs a statement that this server knows and the operator's parser, that
// of version 17, does not.
func TestGrammarOfAnotherVersion(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	url := database.Empty(t)
	conn := database.Connect(t, url)
	sql := "ALTER TABLE a ADD COLUMN y int GENERATED ALWAYS AS (x) VIRTUAL"
	version := database.Ask[int](t, conn, `SELECT current_setting('server_version_num')::int / 10000`)
	if version < 17 {
		sql = "CREATE FUNCTION merge_action() RETURNS int LANGUAGE sql AS 'SELECT 1'"
	}
	f := up("CREATE TABLE a (x int)", sql)
	s := c.declared(url, f)
	if version == 17 {
		c.awaitSchema(s, false, v1alpha1.ReasonInvalidMigrations)
		return
	}
	now := c.awaitSchema(s, false, v1alpha1.ReasonApprovalRequired)
	if want := "line 2 has a statement that PostgreSQL accepts and the operator's older parser does not"; !strings.Contains(message(now), want) {
		t.Errorf("%q is not in: %s", want, message(now))
	}
	c.respec(s, approve(now.Status.Plan.Hash))
	c.awaitVersion(s, 2)

	f["0003_c.sql"] = "-- +goose Up\nCREATE TABEL b (x int);\n"
	c.edit(f)
	c.awaitSchema(s, false, v1alpha1.ReasonInvalidMigrations)
}
