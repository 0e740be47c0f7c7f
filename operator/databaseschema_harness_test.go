package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/eventually"
)

// Names of the objects in a test's namespace, one of each kind by default.
const (
	database1  = "database"
	migrations = "migrations"
)

// files is the data of a ConfigMap with migrations.
type files map[string]string

// up returns files, numbered from 1, from their SQL or from their whole content.
func up(sql ...string) files {
	f := files{}
	for i, s := range sql {
		if !strings.Contains(s, "+goose Up") {
			s = "-- +goose Up\n" + s + ";\n"
		}
		f[fmt.Sprintf("%04d_file.sql", i+1)] = s
	}
	return f
}

// nonTransactional returns a file without a transaction.
func nonTransactional(sql string) string {
	return "-- +goose NO TRANSACTION\n-- +goose Up\n" + sql + ";\n"
}

// storeMigrations returns the store's migrations.
func storeMigrations(t *testing.T) files {
	t.Helper()
	f := files{}
	err := fs.WalkDir(schema.Migrations(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(schema.Migrations(), path)
		f[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (c *cluster) secret(name, url string) {
	c.t.Helper()
	c.must(&corev1.Secret{ObjectMeta: c.meta(name), StringData: map[string]string{"url": url}})
}

func (c *cluster) configMap(name string, f files) {
	c.t.Helper()
	c.must(&corev1.ConfigMap{ObjectMeta: c.meta(name), Data: f})
}

// edit replaces all migration files.
func (c *cluster) edit(f files) {
	c.t.Helper()
	change(c, &corev1.ConfigMap{ObjectMeta: c.meta(migrations)}, func(m *corev1.ConfigMap) { m.Data = f })
}

// setURL changes the URL in the Secret.
func (c *cluster) setURL(url string) {
	c.t.Helper()
	change(c, &corev1.Secret{ObjectMeta: c.meta(database1)}, func(s *corev1.Secret) { s.Data = map[string][]byte{"url": []byte(url)} })
}

// declare creates a DatabaseSchema that uses the Secret and the ConfigMap.
func (c *cluster) declare(name string, edit ...func(*v1alpha1.DatabaseSchemaSpec)) *v1alpha1.DatabaseSchema {
	c.t.Helper()
	s := &v1alpha1.DatabaseSchema{ObjectMeta: c.meta(name), Spec: v1alpha1.DatabaseSchemaSpec{
		Connection: v1alpha1.DatabaseConnection{SecretName: database1},
		Migrations: []v1alpha1.MigrationSource{{ConfigMapName: migrations}},
	}}
	for _, f := range edit {
		f(&s.Spec)
	}
	c.must(s)
	return s
}

// declared creates the Secret, the ConfigMap and a DatabaseSchema.
func (c *cluster) declared(url string, f files, edit ...func(*v1alpha1.DatabaseSchemaSpec)) *v1alpha1.DatabaseSchema {
	c.t.Helper()
	c.secret(database1, url)
	c.configMap(migrations, f)
	return c.declare("store", edit...)
}

// unattended lets migrations run without approval.
func unattended(spec *v1alpha1.DatabaseSchemaSpec) { spec.Destructive = v1alpha1.AllowDestructive }

// respec changes the spec of an object.
func (c *cluster) respec(s *v1alpha1.DatabaseSchema, edit func(*v1alpha1.DatabaseSchemaSpec)) {
	c.t.Helper()
	change(c, &v1alpha1.DatabaseSchema{ObjectMeta: c.meta(s.Name)}, func(s *v1alpha1.DatabaseSchema) { edit(&s.Spec) })
}

// awaitSchemaWhere waits until ok returns true for a DatabaseSchema.
func (c *cluster) awaitSchemaWhere(s *v1alpha1.DatabaseSchema, what string, ok func(*v1alpha1.DatabaseSchema) bool) *v1alpha1.DatabaseSchema {
	c.t.Helper()
	return await(c, s, new(v1alpha1.DatabaseSchemaList), what, ok)
}

// storeVersion returns the version of the store's newest migration.
func storeVersion(t *testing.T) int64 {
	t.Helper()
	version, err := schema.Latest()
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// awaitVersion waits until a DatabaseSchema is up to date at a version.
func (c *cluster) awaitVersion(s *v1alpha1.DatabaseSchema, version int64) *v1alpha1.DatabaseSchema {
	c.t.Helper()
	return c.awaitSchemaWhere(s, fmt.Sprintf("up to date at version %d", version), func(s *v1alpha1.DatabaseSchema) bool {
		return is(s, v1alpha1.Ready, true, v1alpha1.ReasonUpToDate) && s.Status.Version == version
	})
}

// read returns the current DatabaseSchema.
func (c *cluster) read(s *v1alpha1.DatabaseSchema) *v1alpha1.DatabaseSchema {
	c.t.Helper()
	now := new(v1alpha1.DatabaseSchema)
	if err := c.Get(c.t.Context(), client.ObjectKeyFromObject(s), now); err != nil {
		c.t.Fatal(err)
	}
	return now
}

// awaitReadings waits until the operator has inspected databases a number of times more.
func (o *operator) awaitReadings(t *testing.T, number float64) {
	t.Helper()
	o.awaitUp(t)
	readings := func() float64 {
		return o.metric(t, "merchstore_operator_call_seconds", map[string]string{"system": "postgresql", "operation": "read_ledger"})
	}
	from := readings()
	eventually.True(t, limit, "more looks at databases", func() bool { return readings() >= from+number })
}

// awaitAnswer polls until the query returns true.
func awaitAnswer(t *testing.T, conn *pgx.Conn, what, sql string, args ...any) {
	t.Helper()
	eventually.True(t, limit, what, func() bool { return database.Ask[bool](t, conn, sql, args...) })
}

// tables returns the names of the tables that migrations have created.
func tables(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	return database.Ask[string](t, conn, `SELECT coalesce(string_agg(tablename, ' ' ORDER BY tablename), '') FROM pg_tables
		WHERE schemaname = 'public' AND tablename NOT LIKE 'goose%'`)
}

// history returns the ledger in a form that every write changes.
func history(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	return database.Ask[string](t, conn, `SELECT string_agg(version_id || ' ' || ctid || ' ' || xmin, ', ' ORDER BY id) FROM goose_db_version`)
}

// hasNoSecret checks the status, the events and the metrics for a secret.
func (c *cluster) hasNoSecret(o *operator, s *v1alpha1.DatabaseSchema, secret string) {
	c.t.Helper()
	var events eventsv1.EventList
	if err := c.List(c.t.Context(), &events, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
	object, err := json.Marshal([]any{c.read(s), events.Items})
	if err != nil {
		c.t.Fatal(err)
	}
	for where, text := range map[string]string{"the object or its events": string(object), "the metrics": o.metrics(c.t)} {
		if len(text) < 100 || strings.Contains(text, secret) {
			c.t.Errorf("%q is in %s:\n%s", secret, where, text)
		}
	}
}

// as returns a database's URL with other credentials.
func as(t *testing.T, address, user, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}
