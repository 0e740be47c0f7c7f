package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/test/certificates"
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
			s := c.declared(address+test.parameters, up(test.sql), unattended)
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

// TestTheSameDataUnderAnotherIdentity renames the database, which changes what identifies it, as
// pg_upgrade does.
func TestTheSameDataUnderAnotherIdentity(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	conn := database.Connect(t, server.URL("postgres"))
	database.Exec(t, conn, `CREATE DATABASE shop`)
	s := c.awaitVersion(c.declared(server.URL("shop"), up("CREATE TABLE a (x int)")), 1)
	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.Paused = true })
	c.awaitSchema(s, false, v1alpha1.ReasonPaused)
	database.Exec(t, conn, `ALTER DATABASE shop RENAME TO store`)
	c.setURL(server.URL("store"))
	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.Paused = false })
	now := c.awaitSchema(s, false, v1alpha1.ReasonDatabaseChanged)
	id := strings.Replace(s.Status.DatabaseID, "/shop", "/store", 1)
	if want := `{"spec":{"acceptedDatabase":"` + id + `"}}`; !strings.Contains(message(now), want) {
		t.Errorf("%q is not in: %s", want, message(now))
	}

	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.AcceptedDatabase = s.Status.DatabaseID })
	c.awaitSchema(s, false, v1alpha1.ReasonDatabaseChanged)
	c.respec(s, func(spec *v1alpha1.DatabaseSchemaSpec) { spec.AcceptedDatabase = id })
	if now := c.awaitVersion(s, 1); now.Status.DatabaseID != id {
		t.Errorf("the status is %+v", now.Status)
	}
	c.edit(up("CREATE TABLE a (x int)", "CREATE TABLE b (x int)"))
	c.awaitVersion(s, 2)
}

// TestCertificateOfAPrivateAuthority: the server's certificate and name are verified.
func TestCertificateOfAPrivateAuthority(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.operate()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	authority, certificate, key := newAuthority(t)
	another, _, _ := newAuthority(t)
	conn := database.Connect(t, server.URL("postgres"))
	for file, content := range map[string][]byte{"server.crt": certificate, "server.key": key} {
		database.Exec(t, conn, fmt.Sprintf(`COPY (SELECT '%s') TO PROGRAM 'umask 077 && base64 -d > %s'`, base64.StdEncoding.EncodeToString(content), file))
	}
	database.Exec(t, conn, `ALTER SYSTEM SET ssl = on`)
	database.Exec(t, conn, `SELECT pg_reload_conf()`)
	awaitAnswer(t, conn, "TLS", `SELECT current_setting('ssl')::bool`)

	address := strings.Replace(server.URL("postgres"), "?sslmode=disable", "", 1)
	c.must(&corev1.Secret{ObjectMeta: c.meta("ca"), Data: map[string][]byte{"ca.crt": []byte("none")}})
	s := c.declared(address, up("CREATE TABLE a AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
		func(spec *v1alpha1.DatabaseSchemaSpec) {
			spec.Connection.CA = &v1alpha1.Authority{SecretName: "ca"}
		})
	refused := func(reason, words string) {
		t.Helper()
		c.awaitSchemaWhere(s, words, func(s *v1alpha1.DatabaseSchema) bool {
			return is(s, v1alpha1.Ready, false, reason) && strings.Contains(message(s), words)
		})
	}
	trust := func(certificate []byte) {
		t.Helper()
		change(c, &corev1.Secret{ObjectMeta: c.meta("ca")}, func(s *corev1.Secret) { s.Data["ca.crt"] = certificate })
	}
	refused(v1alpha1.ReasonSecretInvalid, "key ca.crt of Secret ca holds no certificate in PEM format")
	trust(authority)
	refused(v1alpha1.ReasonUnreachable, "cannot validate certificate for 127.0.0.1")
	trust(another)
	c.setURL(strings.Replace(address, "127.0.0.1", "localhost", 1))
	refused(v1alpha1.ReasonUnreachable, "certificate signed by unknown authority")
	trust(authority)
	c.awaitVersion(s, 1)
	if !database.Ask[bool](t, conn, `SELECT ssl FROM a`) {
		t.Error("the connection is not encrypted")
	}
}

// newAuthority returns an authority and a certificate of a server on localhost, in PEM.
func newAuthority(t *testing.T) (authority, certificate, key []byte) {
	t.Helper()
	a, err := certificates.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if certificate, key, err = a.Pair("postgresql", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	return a.PEM(), certificate, key
}
