package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/test/database"
)

// appPassword is that of the role merchstore_app.
const appPassword = "app's password"

// migrateAsOwner migrates a database as its owner, and creates the DB service's role with the chart's
// own script.
func migrateAsOwner(ctx context.Context, address string) error {
	cmd := exec.CommandContext(ctx, "psql", address, "--no-psqlrc", "--quiet", "--file=../../charts/infrastructure/files/app-role.sql")
	cmd.Env = append(cmd.Environ(), "APP_PASSWORD="+appPassword)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("create the role: %w\n%s", err, output)
	}
	return schema.Migrate(ctx, address)
}

// asApp has a DB service log in as the chart has it.
func asApp(s *Settings) {
	address, err := url.Parse(string(s.Postgres.URL))
	if err != nil {
		panic(err)
	}
	address.User = url.UserPassword("merchstore_app", appPassword)
	s.Postgres.URL = settings.Secret(address.String())
}

// TestServiceHasRightsOnRowsOnly: start runs the service of all tests with these rights.
func TestServiceHasRightsOnRowsOnly(t *testing.T) {
	t.Parallel()
	address := database.New(t)
	if err := migrateAsOwner(t.Context(), address); err != nil { // again, as at each start of PostgreSQL
		t.Fatal(err)
	}
	s := Settings{}
	s.Postgres.URL = settings.Secret(address)
	asApp(&s)
	conn := database.Connect(t, string(s.Postgres.URL))
	database.Exec(t, conn, `DELETE FROM products WHERE false`)
	for _, sql := range []string{
		`CREATE TABLE mine (x int)`, `CREATE TEMPORARY TABLE mine (x int)`, `CREATE SCHEMA mine`, `CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		`CREATE INDEX mine ON users (id)`, `ALTER TABLE users ADD COLUMN mine int`, `ALTER TABLE users DISABLE TRIGGER ALL`, `DROP TABLE orders`,
		`TRUNCATE orders`, `REINDEX TABLE orders`, `CREATE ROLE mine`, `ALTER ROLE merchstore_app SUPERUSER`,
		`DELETE FROM goose_db_version`, `INSERT INTO goose_db_running (version_id) VALUES (1)`, `SET ROLE merchstore`, `COPY users TO PROGRAM 'true'`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		if refused := new(pgconn.PgError); !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s: %v, want a lack of rights", sql, err)
		}
	}
}
