package main

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/database"
)

// TestInvalidInputIsReportedAndRetriedOnChange: the operator's resync interval exceeds an hour.
func TestInvalidInputIsReportedAndRetriedOnChange(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	o := c.operate(rarely)
	url := database.Empty(t)
	s := c.declare("store")
	expect := func(reason string, words ...string) {
		t.Helper()
		c.awaitSchemaWhere(s, reason+": "+strings.Join(words, ", "), func(s *v1alpha1.DatabaseSchema) bool {
			for _, w := range words {
				if !strings.Contains(message(s), w) {
					return false
				}
			}
			return is(s, v1alpha1.Ready, false, reason)
		})
	}
	expect(v1alpha1.ReasonSecretNotFound, "Secret "+database1+" does not exist")
	c.must(&corev1.Secret{ObjectMeta: c.meta(database1), StringData: map[string]string{"password": "s3cret"}})
	expect(v1alpha1.ReasonSecretNotFound, "has no key url")
	for _, wrong := range []string{"s3cret", "mysql://u:s3cret@h/d", "postgres://u:s3cret@h:port/d", "host=h password=s3cret dbname=d", "postgres://u:s3cret@h"} {
		c.setURL(wrong)
		expect(v1alpha1.ReasonSecretInvalid, "is not a URL like postgres://")
		c.hasNoSecret(o, s, "s3cret")
	}
	c.setURL(url)
	expect(v1alpha1.ReasonConfigMapNotFound, "ConfigMap "+migrations+" does not exist")
	c.must(&corev1.ConfigMap{ObjectMeta: c.meta(migrations)})
	expect(v1alpha1.ReasonInvalidMigrations, "no files")
	for content, words := range map[string][]string{
		"README.md\n": {"ConfigMap " + migrations, `"README.md"`},
		"1_a.sql,01_b.sql\n-- +goose Up\nSELECT 1;\n":                            {"01_b.sql and 1_a.sql have the same number"},
		"0001_a.sql\nSELECT 1;\n":                                                {"0001_a.sql"},
		"0001_a.sql\n-- +goose Up\nCREATE TABLE a (x int);\n\nCREATE TABEL b;\n": {"0001_a.sql, line 4", `syntax error at or near "TABEL"`},
		"0001_a.sql\n-- +goose Up\n-- +goose ENVSUB ON\nSELECT 1;\n":             {"0001_a.sql", "ENVSUB"},
		"0001_a.sql\n-- +goose Up\nCOMMIT;\n":                                    {"0001_a.sql, line 2", "COMMIT is not allowed"},
		"0001_a.sql\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON a (x);\n":      {"0001_a.sql, line 2", "NO TRANSACTION"},
	} {
		names, sql, _ := strings.Cut(content, "\n")
		f := files{}
		for name := range strings.SplitSeq(names, ",") {
			f[name] = sql
		}
		c.edit(f)
		expect(v1alpha1.ReasonInvalidMigrations, words...)
	}
	change(c, &corev1.ConfigMap{ObjectMeta: c.meta(migrations)}, func(m *corev1.ConfigMap) {
		m.Data, m.BinaryData = nil, map[string][]byte{"0001_a.sql": {0xff}}
	})
	expect(v1alpha1.ReasonInvalidMigrations, "0001_a.sql of ConfigMap "+migrations+" is binary data")
	change(c, &corev1.ConfigMap{ObjectMeta: c.meta(migrations)}, func(m *corev1.ConfigMap) {
		m.Data, m.BinaryData = up("CREATE TABLE a (x int)"), nil
	})
	c.awaitVersion(s, 1)
	c.edit(up("CREATE TABLE a (x int)", "CREATE TABLE b (x int)"))
	c.awaitVersion(s, 2)
	if n := o.metric(t, "merchstore_operator_call_seconds", map[string]string{"operation": "migrate"}); n != 2 {
		t.Errorf("%g migrations were attempted, want 2", n)
	}
}

func TestSecretKey(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	c.must(&corev1.Secret{ObjectMeta: c.meta(database1), StringData: map[string]string{"DATABASE_URL": database.Empty(t) + "\n"}})
	c.configMap(migrations, up("CREATE TABLE a (x int)"))
	c.awaitVersion(c.declare("store", func(spec *v1alpha1.DatabaseSchemaSpec) { spec.Connection.Key = "DATABASE_URL" }), 1)
}

// TestPausedDatabaseIsNotQueried uses a listener that counts connections.
func TestPausedDatabaseIsNotQueried(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var came atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			_ = conn.Close()
		}
	}()
	s := c.declared(fmt.Sprintf("postgres://u:p@%s/d?sslmode=disable", l.Addr()), up("SELECT 1"),
		func(spec *v1alpha1.DatabaseSchemaSpec) { spec.Paused = true })
	c.awaitSchema(s, false, v1alpha1.ReasonPaused)
	c.edit(up("SELECT 2")) // triggers another reconcile
	other := c.declare("other", func(spec *v1alpha1.DatabaseSchemaSpec) { spec.Paused = true })
	c.awaitSchema(other, false, v1alpha1.ReasonPaused)
	if n := came.Load(); n != 0 {
		t.Errorf("%d connections to the database", n)
	}
	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.Paused = false })
	c.awaitSchema(s, false, v1alpha1.ReasonUnreachable)
	if came.Load() == 0 {
		t.Error("there was no connection: the test proves nothing")
	}
}

// TestLargeFiles: a ConfigMap holds at most 1 MiB. Files that are parsed completely are smaller,
// because with the race detector parsing takes many seconds on a machine under load.
func TestLargeFiles(t *testing.T) {
	t.Parallel()
	const size = 1_000_000
	many := strings.Repeat
	rows := many(",("+many("1", 60)+")", 30) + "\n"
	large := func(head, part string, size int) string { return head + many(part, (size-len(head))/len(part)) }
	for name, test := range map[string]struct {
		sql    string
		reason string
	}{
		"a few large statements": {many(large("INSERT INTO a VALUES (0)", rows, size/4)+";\n", 2) + "SELECT 1", ""},
		"many small statements":  {large("SELECT 1;\n", many("INSERT INTO a VALUES (1);", 40)+"\n", size/4) + "SELECT 1", ""},
		"one statement":          {large("INSERT INTO a VALUES (0)", rows, size), v1alpha1.ReasonInvalidMigrations},
		"a long comment":         {large("SELECT 1 --", "x", size), v1alpha1.ReasonInvalidMigrations}, // its semicolon is part of the comment
		"a deep one":             {large("SELECT 1", "+1", size/5), v1alpha1.ReasonInvalidMigrations},
		"no SQL":                 {large("", "x", size), v1alpha1.ReasonInvalidMigrations},
		"drops":                  {large("SELECT 1;\n", many("DROP TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;", 20)+"\n", size/4) + "SELECT 1", v1alpha1.ReasonApprovalRequired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.operate()
			url := database.Empty(t)
			database.Exec(t, database.Connect(t, url), `CREATE TABLE a (x numeric)`)
			s := c.declared(url, up(test.sql))
			if test.reason == "" {
				c.awaitVersion(s, 1)
				return
			}
			if status := fmt.Sprintf("%+v", c.awaitSchema(s, false, test.reason).Status); len(status) > 20_000 {
				t.Errorf("the status has %d bytes", len(status))
			}
		})
	}
}

// TestSchemaValidation tests the validation of the API server, without an operator.
func TestSchemaValidation(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	type spec = v1alpha1.DatabaseSchemaSpec
	c.declare("store")
	for words, edit := range map[string]func(*spec){
		"connection cannot be changed; create another DatabaseSchema": func(s *spec) { s.Connection.SecretName = "another" },
		"approvedPlan must be a plan's hash":                          func(s *spec) { s.ApprovedPlan = "yes" },
		"Too long":                                                    func(s *spec) { s.ApprovedPlan = strings.Repeat("a", 65) },
		"spec.targetVersion":                                          func(s *spec) { s.TargetVersion = new(int64(0)) },
		`supported values: "RequireApproval", "Allow"`:                func(s *spec) { s.Destructive = "Sometimes" },
		"should have at least 1 items":                                func(s *spec) { s.Migrations = []v1alpha1.MigrationSource{} },
		"Duplicate value":                                             func(s *spec) { s.Migrations = append(s.Migrations, s.Migrations[0]) },
		"spec.migrations[0].configMapName":                            func(s *spec) { s.Migrations[0].ConfigMapName = "" },
	} {
		s := new(v1alpha1.DatabaseSchema)
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: c.namespace, Name: "store"}, s); err != nil {
			t.Fatal(err)
		}
		edit(&s.Spec)
		if err := c.Update(t.Context(), s); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", words, err)
		}
	}
	s := c.read(&v1alpha1.DatabaseSchema{ObjectMeta: c.meta("store")})
	if s.Spec.Destructive != v1alpha1.RequireApproval || s.Spec.Connection.Key != "url" {
		t.Errorf("the defaults are %+v", s.Spec)
	}
	s.Spec.Paused, s.Spec.ApprovedPlan, s.Spec.TargetVersion = true, strings.Repeat("a", 64), new(int64(1))
	if err := c.Update(t.Context(), s); err != nil {
		t.Error(err)
	}
}
