package databaseschema

import (
	"slices"
	"strings"
	"testing"

	"merchstore.io/merchstore/internal/migration"
	"merchstore.io/merchstore/services/db/schema"
)

// file returns a migration file from its SQL or from its whole content.
func file(t testing.TB, name, sql string) migration.File {
	t.Helper()
	if !strings.Contains(sql, "+goose Up") {
		sql = "-- +goose Up\n" + sql + "\n"
	}
	f, err := migration.NewFile(name, sql)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// refuse is the grammar of a PostgreSQL that is not newer than the parser's.
func refuse(string) bool { return false }

// found returns the destructive statements of files, for columns of the given types.
func found(t *testing.T, types map[migration.Column]string, files ...migration.File) []string {
	t.Helper()
	steps, err := inspect(files, refuse)
	if err != nil {
		t.Fatal(err)
	}
	return destructiveSteps(steps, types)
}

func TestDestructive(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		// DROP of anything.
		`DROP TABLE users, shop.orders;`:                                  "drops table users, shop.orders",
		`DROP TABLE IF EXISTS users CASCADE;`:                             "drops table users",
		`DROP VIEW v;`:                                                    "drops view v",
		`DROP MATERIALIZED VIEW v;`:                                       "drops materialized view v",
		`DROP INDEX users_email_key;`:                                     "drops index users_email_key",
		`DROP SCHEMA s CASCADE;`:                                          "drops schema s",
		`DROP TYPE mood;`:                                                 "drops type mood",
		`DROP DOMAIN d;`:                                                  "drops domain d",
		`DROP FUNCTION s.f(int);`:                                         "drops function s.f",
		`DROP TRIGGER tr ON users;`:                                       "drops trigger users.tr",
		`DROP EXTENSION citext;`:                                          "drops extension citext",
		`DROP SEQUENCE s;`:                                                "drops sequence s",
		`DROP POLICY p ON users;`:                                         "drops policy users.p",
		`DROP CAST (text AS mood);`:                                       "drops cast text.mood",
		`DROP OWNED BY someone;`:                                          "drops all that someone own",
		`DROP ROLE someone;`:                                              "drops a role",
		`DROP USER MAPPING FOR someone SERVER s;`:                         "drops a usermapping",
		`ALTER TABLE users DROP COLUMN email;`:                            "drops column users.email",
		`ALTER TABLE shop.users DROP email;`:                              "drops column shop.users.email",
		`ALTER TABLE users DROP CONSTRAINT users_sid_key;`:                "drops constraint users_sid_key of users",
		`ALTER TABLE users ALTER id DROP IDENTITY;`:                       "drops the identity of column users.id",
		`ALTER TABLE users ALTER total DROP EXPRESSION;`:                  "drops the expression of column users.total",
		`ALTER TABLE sales DETACH PARTITION sales_1;`:                     "detaches a partition or child of sales",
		`ALTER TABLE sales_1 NO INHERIT sales;`:                           "detaches a partition or child of sales_1",
		`ALTER TYPE address DROP ATTRIBUTE zip;`:                          "drops column address.zip",
		`ALTER DOMAIN d DROP CONSTRAINT c;`:                               "drops constraint c of domain d",
		`ALTER EXTENSION e DROP TABLE t;`:                                 "drops a part of extension e",
		`ALTER PUBLICATION p DROP TABLE t;`:                               "drops tables of publication p",
		`ALTER OPERATOR FAMILY f USING btree DROP OPERATOR 1 (int, int);`: "drops a part of operator family f",
		`ALTER TEXT SEARCH CONFIGURATION c DROP MAPPING FOR word;`:        "drops mappings of text search configuration c",
		// TRUNCATE, and DELETE of everything.
		`TRUNCATE users, orders;`:                                "empties users, orders",
		`DELETE FROM users;`:                                     "deletes all rows of users",
		`DELETE FROM users WHERE true;`:                          "deletes all rows of users",
		`DELETE FROM users WHERE 1 = 1 OR now() > '2020-01-01';`: "deletes all rows of users",
		`DELETE FROM users USING orders;`:                        "deletes all rows of users",
		`WITH gone AS (DELETE FROM users RETURNING *) SELECT 1;`: "deletes all rows of users",
		`INSERT INTO old WITH gone AS (DELETE FROM shop.users RETURNING *) SELECT * FROM gone;`: "deletes all rows of shop.users",
		`EXPLAIN ANALYZE DELETE FROM users;`:                                                    "deletes all rows of users",
		`PREPARE p AS DELETE FROM users;`:                                                       "deletes all rows of users",
		`MERGE INTO users USING old ON users.id = old.id WHEN MATCHED THEN DELETE;`:             "deletes rows of users by MERGE, without a condition",
		// NOT NULL without a default.
		`ALTER TABLE users ADD COLUMN age int NOT NULL;`:              "adds column users.age, which is NOT NULL and has no default",
		`ALTER TABLE users ADD COLUMN age int NOT NULL DEFAULT NULL;`: "adds column users.age, which is NOT NULL and has no default",
		`ALTER TABLE users ADD COLUMN age int PRIMARY KEY;`:           "adds column users.age, which is NOT NULL and has no default",
		`ALTER TABLE users ALTER COLUMN age SET NOT NULL;`:            "makes column users.age NOT NULL",
		`ALTER TABLE users ADD PRIMARY KEY (age);`:                    "makes the columns of a primary key of users NOT NULL",
		`ALTER DOMAIN d SET NOT NULL;`:                                "makes domain d NOT NULL",
		`ALTER TABLE users ADD COLUMN nr my_serial NOT NULL;`:         "adds column users.nr, which is NOT NULL and has no default",
		// Names that running programs use.
		`ALTER TABLE users RENAME COLUMN email TO mail;`:             "renames column email of users to mail",
		`ALTER TABLE shop.users RENAME TO accounts;`:                 "renames table shop.users to accounts",
		`ALTER TABLE users SET SCHEMA old;`:                          "moves table users to schema old",
		`ALTER FUNCTION f() SET SCHEMA old;`:                         "moves function f to schema old",
		`ALTER TYPE mood RENAME VALUE 'sad' TO 'glad';`:              "renames value sad of type mood to glad",
		`REVOKE SELECT ON users FROM app, PUBLIC;`:                   "revokes rights from app, public",
		`ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM app;`: "revokes rights from app",
		`REVOKE staff FROM app;`:                                     "revokes roles from app",
		`ALTER TABLE users ENABLE ROW LEVEL SECURITY;`:               "hides rows of users that no policy allows",
		`ALTER TABLE users FORCE ROW LEVEL SECURITY;`:                "hides rows of users that no policy allows",
		`ALTER TABLE orders SET UNLOGGED;`:                           "makes orders unlogged: a crash empties it, and replicas do not have it",
		// Content that is not analysed.
		`SELECT clean_up();`: "calls clean_up, whose effects are not analysed",
		`INSERT INTO notes SELECT s.clean_up(x) FROM users;`:                                                         "calls s.clean_up, whose effects are not analysed",
		`CREATE TABLE t AS SELECT pg_catalog.lo_unlink(1);`:                                                          "calls lo_unlink, whose effects are not analysed",
		`WITH x AS (SELECT clean_up()) UPDATE users SET a = 1;`:                                                      "calls clean_up, whose effects are not analysed",
		"-- +goose Up\n-- +goose StatementBegin\nDO $$ BEGIN\n DROP TABLE users;\nEND $$;\n-- +goose StatementEnd\n": "runs a DO block, whose content is not analysed",
		`CALL s.clean_up(1);`: "calls s.clean_up, whose effects are not analysed",
		`SELECT setval(pg_get_serial_sequence('users', 'id'), 1);`:      "calls setval, whose effects are not analysed",
		`ALTER TABLE users ADD COLUMN age int DEFAULT clean_up();`:      "calls clean_up, whose effects are not analysed",
		`ALTER TABLE users ADD CONSTRAINT c CHECK (clean_up(age) > 0);`: "calls clean_up, whose effects are not analysed",
		`ALTER DOMAIN d ADD CHECK (clean_up(value));`:                   "calls clean_up, whose effects are not analysed",

		// Harmless.
		`CREATE TABLE users (id int PRIMARY KEY, age int NOT NULL);`:                             "",
		`CREATE INDEX users_age ON users (age);`:                                                 "",
		`ALTER TABLE users ADD COLUMN age int;`:                                                  "",
		`ALTER TABLE users ADD COLUMN age int NOT NULL DEFAULT 0;`:                               "",
		`ALTER TABLE users ADD COLUMN age int NOT NULL GENERATED ALWAYS AS IDENTITY;`:            "",
		`ALTER TABLE users ADD COLUMN age int NOT NULL GENERATED ALWAYS AS (1) STORED;`:          "",
		`ALTER TABLE users ADD COLUMN nr bigserial NOT NULL;`:                                    "",
		`ALTER TABLE users ALTER COLUMN age DROP NOT NULL;`:                                      "",
		`ALTER TABLE users ALTER COLUMN age DROP DEFAULT;`:                                       "",
		`ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID;`:                          "",
		`DELETE FROM users WHERE age < 3;`:                                                       "",
		`DELETE FROM users USING orders WHERE orders.user_id = users.id;`:                        "",
		`MERGE INTO users USING old ON users.id = old.id WHEN MATCHED AND old.gone THEN DELETE;`: "",
		`UPDATE users SET age = 1;`:                                                              "",
		`INSERT INTO notes VALUES ('DROP TABLE users; TRUNCATE users;');`:                        "",
		`SELECT 1; -- DROP TABLE users;`:                                                         "",
		`SELECT "drop table" FROM notes /* DELETE FROM users; */;`:                               "",
		`CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM users; END;`:     "",
		`CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DROP TABLE users';`:                   "",
		`CREATE RULE r AS ON UPDATE TO users DO ALSO DELETE FROM notes;`:                         "",
		`CREATE VIEW v AS SELECT clean_up();`:                                                    "",
		`ALTER TABLE users ALTER age SET DEFAULT clean_up();`:                                    "",
		`ALTER TABLE users ADD CONSTRAINT c CHECK (clean_up(age) > 0) NOT VALID;`:                "",
		`ALTER TABLE users ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();`:            "",
		`ALTER TYPE mood ADD VALUE 'glad';`:                                                      "",
		`GRANT SELECT ON users TO app;`:                                                          "",
		`CREATE INDEX i ON users (clean_up(age)) WHERE clean_up(age) > 1;`:                       "",
		`UPDATE users SET name = lower(pg_catalog.btrim(name)) WHERE id < nextval('s');`:         "",
		`ALTER TABLE users SET LOGGED;`:                                                          "",
		`ALTER PUBLICATION p ADD TABLE t;`:                                                       "",
		`ALTER EXTENSION e ADD TABLE t;`:                                                         "",
		`ALTER DOMAIN d DROP NOT NULL;`:                                                          "",
	} {
		f := file(t, "0007_a.sql", sql)
		got := found(t, nil, f)
		switch {
		case want == "" && len(got) > 0:
			t.Errorf("%s\n got %q, want nothing", sql, got)
		case want != "" && !slices.Equal(got, []string{"0007: " + want}):
			t.Errorf("%s\n got %q, want %q", sql, got, want)
		}
	}
}

func TestDestructiveStepsAreListedInOrder(t *testing.T) {
	t.Parallel()
	got := found(t, nil,
		file(t, "0007_a.sql", "ALTER TABLE users DROP COLUMN a, ADD COLUMN b int, DROP COLUMN c;\nSELECT 1;\nTRUNCATE users;"),
		file(t, "00008_b.sql", "DROP TABLE users; DROP TABLE orders;"))
	want := []string{"0007: drops column users.a", "0007: drops column users.c", "0007: empties users", "00008: drops table users", "00008: drops table orders"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDownStatementsAreIgnored(t *testing.T) {
	t.Parallel()
	if got := found(t, nil, file(t, "1_a.sql", "-- +goose Up\nCREATE TABLE a (x int);\n-- +goose Down\nDROP TABLE a;\n")); len(got) > 0 {
		t.Errorf("got %q of the way down", got)
	}
}

func TestStoreMigrationsAreNotDestructive(t *testing.T) {
	t.Parallel()
	files, err := migration.Read(schema.Migrations())
	if err != nil {
		t.Fatal(err)
	}
	if got := found(t, nil, files...); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}
