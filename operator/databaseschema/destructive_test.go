package databaseschema

import (
	"os"
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

func TestTypeChanges(t *testing.T) {
	t.Parallel()
	for change, harmless := range map[[2]string]bool{
		{"smallint", "integer"}: true, {"smallint", "bigint"}: true, {"integer", "bigint"}: true, {"integer", "int8"}: true,
		{"integer", "integer"}: true, {"real", "double precision"}: true,
		{"character varying(50)", "varchar(100)"}: true, {"character varying(50)", "varchar(50)"}: true,
		{"character varying(50)", "varchar"}: true, {"character varying(50)", "text"}: true, {"character varying", "text"}: true,
		{"text", "varchar"}: true, {"character(3)", "text"}: true, {"character(3)", "char(4)"}: true, {"character(3)", "varchar(3)"}: true,
		{"numeric(10,2)", "numeric(12,2)"}: true, {"numeric(10,2)", "numeric(12,4)"}: true, {"numeric(10,2)", "numeric"}: true,
		{"numeric(10,0)", "decimal(10)"}: true, {"timestamp with time zone", "timestamptz"}: true, {"uuid", "uuid"}: true,

		{"integer", "smallint"}: false, {"bigint", "integer"}: false, {"double precision", "real"}: false, {"integer", "real"}: false,
		{"character varying(100)", "varchar(50)"}: false, {"character varying", "varchar(50)"}: false, {"text", "varchar(50)"}: false,
		{"text", "char(3)"}: false, {"character(4)", "char(3)"}: false, {"character(3)", "char"}: false, {"bpchar", "varchar(3)"}: false,
		{"numeric(10,2)", "numeric(10,4)"}: false, {"numeric(10,2)", "numeric(10,1)"}: false, {"numeric(10,2)", "numeric(9,2)"}: false,
		{"numeric", "numeric(10,2)"}: false, {"numeric(10,2)", "integer"}: false, {"integer", "text"}: false, {"text", "integer"}: false,
		{"timestamp with time zone", "timestamp"}: false, {"timestamp with time zone", "date"}: false, {"jsonb", "text"}: false,
		{"integer[]", "bigint[]"}: false, {"integer", "integer[]"}: false, {"shop.mood", "shop.mood2"}: false,
		{"shop.int4", "int8"}: false, {"not ( a type", "int8"}: false,
	} {
		from, to := change[0], change[1]
		types := map[migration.Column]string{{Table: `"users"`, Name: "x"}: from}
		got := found(t, types, file(t, "0007_a.sql", "ALTER TABLE users ALTER COLUMN x TYPE "+to+";"))
		if len(got) == 0 != harmless {
			t.Errorf("from %s to %s: %q", from, to, got)
		}
	}
}

func TestSuccessiveTypeChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		want []string
	}{
		"wider":                                {"ALTER TABLE users ALTER x TYPE bigint;", nil},
		"with a schema":                        {"ALTER TABLE shop.users ALTER x TYPE bigint;", nil},
		"wider by an equal cast":               {"ALTER TABLE users ALTER x TYPE bigint USING x::bigint;", nil},
		"computed":                             {"ALTER TABLE users ALTER x TYPE bigint USING x * 2;", []string{"from int4 to int8"}},
		"of another column":                    {"ALTER TABLE users ALTER x TYPE bigint USING y::bigint;", []string{"from int4 to int8"}},
		"through another type":                 {"ALTER TABLE users ALTER x TYPE bigint USING x::smallint;", []string{"from int4 to int8"}},
		"wider and back":                       {"ALTER TABLE users ALTER x TYPE bigint;\nALTER TABLE users ALTER x TYPE int;", []string{"from int8 to int4"}},
		"wider and back, under two names":      {"ALTER TABLE users ALTER x TYPE bigint;\nALTER TABLE shop.users ALTER x TYPE int;", []string{`"shop"."users" to int4`}},
		"unknown":                              {"ALTER TABLE users ALTER z TYPE bigint;", []string{`column z of "users" to int8`}},
		"after a rename":                       {"ALTER TABLE users RENAME x TO y;\nALTER TABLE users RENAME z TO x;\nALTER TABLE users ALTER x TYPE bigint;", []string{"renames", "renames", `to int8`}},
		"in another schema":                    {"SET search_path = other;\nALTER TABLE users ALTER x TYPE bigint;", []string{`to int8`}},
		"in another schema, set by a function": {"SELECT pg_catalog.set_config('search_path', 'other', false);\nALTER TABLE users ALTER x TYPE bigint;", []string{`to int8`}},
		"as another role":                      {"SET ROLE other;\nALTER TABLE users ALTER x TYPE bigint;", []string{`to int8`}},
		"in another schema, by a quoted name":  {"SET \"Search_Path\" = other;\nALTER TABLE users ALTER x TYPE bigint;", []string{`to int8`}},
		"as another user":                      {"SET SESSION AUTHORIZATION other;\nALTER TABLE users ALTER x TYPE bigint;", []string{`to int8`}},
		"after all settings are reset":         {"RESET ALL;\nALTER TABLE users ALTER x TYPE bigint;", []string{`to int8`}},
		"after a move":                         {"ALTER TABLE other.users SET SCHEMA shop;\nALTER TABLE shop.users ALTER x TYPE bigint;", []string{"moves", `to int8`}},
		"after another setting":                {"SET lock_timeout = '1s';\nALTER TABLE users ALTER x TYPE bigint;", nil},
	} {
		types := map[migration.Column]string{{Table: `"users"`, Name: "x"}: "integer", {Table: `"shop"."users"`, Name: "x"}: "integer"}
		got := found(t, types, file(t, "0007_a.sql", c.sql))
		if len(got) != len(c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		}
	}
}

func TestColumnsAreQueriedAsWritten(t *testing.T) {
	t.Parallel()
	steps, err := inspect([]migration.File{file(t, "1_a.sql",
		`ALTER TABLE "Us""ers" ALTER "X" TYPE bigint, ALTER y TYPE text;`+"\n"+`ALTER TABLE shop.users ALTER x TYPE bigint; ALTER TABLE shop.users ALTER x TYPE text;`)}, refuse)
	if err != nil {
		t.Fatal(err)
	}
	want := []migration.Column{{Table: `"Us""ers"`, Name: "X"}, {Table: `"Us""ers"`, Name: "y"}, {Table: `"shop"."users"`, Name: "x"}}
	if got := columns(steps); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
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

func TestInspectRejects(t *testing.T) {
	t.Parallel()
	const alone = "-- +goose NO TRANSACTION\n-- +goose Up\n"
	for name, c := range map[string]struct{ sql, want string }{
		"no SQL":                        {"SELECT 1;\n\nCREATE\n TABEL a;", `0007_a.sql, line 5: syntax error at or near "TABEL"`},
		"a function that is split":      {"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN RETURN 1;\nEND $$;", "0007_a.sql, line 2: unterminated dollar-quoted string"},
		"nothing in the Up section":     {"-- +goose Down\n-- +goose Up\n", "0007_a.sql has no line '-- +goose Up'"},
		"BEGIN":                         {"BEGIN;\nSELECT 1;\nCOMMIT;", "0007_a.sql, line 2: BEGIN is not allowed"},
		"COMMIT":                        {"SELECT 1;\nSELECT 2; COMMIT;", "0007_a.sql, line 3: COMMIT is not allowed"},
		"ROLLBACK":                      {"ROLLBACK;", "ROLLBACK is not allowed"},
		"SAVEPOINT":                     {"SAVEPOINT a;", "BEGIN, COMMIT"},
		"COPY from the client":          {"COPY a FROM STDIN;", "COPY from or to the client"},
		"COPY to the client":            {"COPY a TO STDOUT;", "COPY from or to the client"},
		"an index in a transaction":     {"SELECT 1;\nCREATE INDEX CONCURRENTLY i ON a (x);", "0007_a.sql, line 3: this cannot run in a transaction"},
		"VACUUM in a transaction":       {"VACUUM;", "cannot run in a transaction"},
		"DROP INDEX":                    {"DROP INDEX CONCURRENTLY i;", "cannot run in a transaction"},
		"REINDEX":                       {"REINDEX INDEX CONCURRENTLY i;", "cannot run in a transaction"},
		"REINDEX DATABASE":              {"REINDEX DATABASE d;", "cannot run in a transaction"},
		"CREATE DATABASE":               {"CREATE DATABASE d;", "cannot run in a transaction"},
		"DROP DATABASE":                 {"DROP DATABASE d;", "cannot run in a transaction"},
		"CREATE TABLESPACE":             {"CREATE TABLESPACE s LOCATION '/s';", "cannot run in a transaction"},
		"ALTER SYSTEM":                  {"ALTER SYSTEM SET fsync = off;", "cannot run in a transaction"},
		"ALTER DATABASE":                {"ALTER DATABASE d SET TABLESPACE s;", "cannot run in a transaction"},
		"CLUSTER":                       {"CLUSTER;", "cannot run in a transaction"},
		"DISCARD ALL":                   {"DISCARD ALL;", "cannot run in a transaction"},
		"CREATE SUBSCRIPTION":           {"CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p;", "cannot run in a transaction"},
		"DETACH":                        {"ALTER TABLE a DETACH PARTITION b CONCURRENTLY;", "cannot run in a transaction"},
		"two without a transaction":     {alone + "VACUUM a;\nVACUUM b;\n", "0007_a.sql has 2 statements without a transaction"},
		"two on one line":               {alone + "VACUUM a; DROP TABLE b;\n", "line 3: a file without a transaction must have a single statement"},
		"none without a transaction":    {alone, "0007_a.sql has 0 statements"},
		"an index without a name":       {alone + "CREATE INDEX CONCURRENTLY ON a (x);\n", "without a name"},
		"a table without a transaction": {alone + "CREATE TABLE a (x int);\n", "could not be taken up again"},
		"REINDEX without a transaction": {alone + "REINDEX INDEX CONCURRENTLY i;\n", "could not be taken up again"},
	} {
		_, err := inspect([]migration.File{file(t, "0007_a.sql", c.sql)}, refuse)
		if err == nil || !strings.HasPrefix(err.Error(), "0007_a.sql") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want an error with: %s", name, err, c.want)
		}
	}
	for _, sql := range []string{
		alone + "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON s.a USING gin (x) WHERE y;\n", alone + "DROP INDEX CONCURRENTLY s.i;\n",
		alone + "VACUUM (FULL, ANALYZE) a;\n", "REINDEX TABLE a;", "CLUSTER a USING i;", "ANALYZE a;", "COPY a FROM '/tmp/a';", "SET LOCAL lock_timeout = 0;",
		"ALTER TYPE mood ADD VALUE 'glad';", "REFRESH MATERIALIZED VIEW CONCURRENTLY v;", "LOCK TABLE a;", "DISCARD TEMP;",
	} {
		if _, err := inspect([]migration.File{file(t, "0007_a.sql", sql)}, refuse); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// The parser is recursive: without a limit its stack would overflow.
func TestMaxDepth(t *testing.T) {
	t.Parallel()
	many := func(part string) string { return strings.Repeat(part, 250_000/len(part)) }
	for name, sql := range map[string]string{
		"a sum":          "SELECT 1" + many("+1"),
		"a sum of calls": "SELECT f(1,1)" + many("+f(1,1)"),
		"casts":          "SELECT 1" + many("::int"),
		"unions":         "SELECT 1, 2" + many(" UNION SELECT 1, 2"),
		"joins":          "SELECT 1, 2 FROM a, b" + many(" JOIN a ON f(1, 2)"),
		"brackets":       "SELECT " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000),
		"open brackets":  "SELECT " + many("("),
		"chains in brackets, each after the other": "SELECT " + strings.Repeat("(", 100) + "1" + strings.Repeat(strings.Repeat("+1", 1000)+")", 100),
		"NOT":         "SELECT " + many("NOT ") + "true",
		"AND":         "SELECT 1 WHERE a" + many(" BETWEEN 1 AND 2 IS TRUE"),
		"subqueries":  many("SELECT ("),
		"arrays":      "SELECT " + strings.Repeat("array[", 30_000) + strings.Repeat("]", 30_000),
		"with commas": "SELECT " + strings.Repeat("f(1, ", 40_000) + "1" + strings.Repeat(")", 40_000),
		"CASE":        "SELECT " + strings.Repeat("CASE WHEN ", 10_000) + "true" + strings.Repeat(" THEN 1 END", 10_000),
	} {
		if _, err := parse(sql); err == nil || !strings.Contains(err.Error(), "nested too deeply") {
			t.Errorf("%s: %v; want an error", name, err)
		}
	}
	for name, sql := range map[string]string{
		"many rows":      "INSERT INTO a VALUES (1, 'a')" + strings.Repeat(", (1, 'a' || 'b')", 10_000),
		"many columns":   "CREATE TABLE a (x0 int NOT NULL DEFAULT 1" + strings.Repeat(", x int NOT NULL DEFAULT 1", 1500) + ")",
		"many unions":    "SELECT 1, 'a', 2.5" + strings.Repeat(" UNION ALL SELECT 1, 'a', 2.5", 500),
		"a long CASE":    "SELECT CASE" + strings.Repeat(" WHEN a = 1 THEN 2", 500) + " END",
		"a long text":    "COMMENT ON TABLE a IS '" + many("((((( + 1 ") + "'",
		"a long comment": "SELECT 1 /* " + many("((((( + 1 ") + "*/",
		"closing first":  "SELECT ')'",
	} {
		if _, err := parse(sql); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	nested := func(words int, open, inner, end string) string { // words is their number per level
		n := maxDepth/(words+1) - 10
		return "SELECT " + strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	for _, sql := range []string{ // as deep as allowed: the parser may reject it, but must not crash
		nested(4, "EXISTS(SELECT ", "1", ")"), nested(3, "(SELECT ", "1", ")"), nested(3, "ARRAY[", "1", "]"),
		nested(5, "CASE WHEN ", "true", " THEN 1 END"), nested(4, "a IN (", "1", ")"), nested(3, "ROW(", "1", ")"),
		nested(5, "CAST(", "1", " AS int)"), nested(8, "f() OVER (ORDER BY ", "a", ")"),
		nested(5, "JSON_OBJECT('a':", "1", ")"), "SELECT a" + strings.Repeat(" IS NULL", maxDepth/2-10),
		"SELECT 'a'" + strings.Repeat(" COLLATE c", maxDepth/2-10), "SELECT " + strings.Repeat("- ", maxDepth-10) + "1",
		"SELECT 1" + strings.Repeat("+1", maxDepth/2-10), "SELECT " + strings.Repeat("NOT ", maxDepth-10) + "true",
		"SELECT 1" + strings.Repeat(" UNION SELECT 1", maxDepth/4-10), "SELECT * FROM a" + strings.Repeat(" JOIN a ON true", maxDepth/5-10),
		strings.Repeat("SELECT (", maxDepth/3-10) + "1" + strings.Repeat(")", maxDepth/3-10), "SELECT 1" + strings.Repeat("::int", maxDepth/2-10),
		"SELECT " + strings.Repeat("f(", maxDepth/3-10) + "1" + strings.Repeat(")", maxDepth/3-10),
	} {
		if _, err := parse(sql); err != nil && (strings.Contains(err.Error(), "nested too deeply") || strings.Contains(err.Error(), "crashed")) {
			t.Errorf("%.40s: %v", sql, err)
		}
	}
	if _, err := parse("SELECT '" + strings.Repeat("a", 256<<10) + "'"); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a large statement: %v", err)
	}
}

func FuzzInspect(f *testing.F) {
	for _, sql := range []string{
		"DROP TABLE a;", "ALTER TABLE a ALTER b TYPE int USING b::int, ADD c serial NOT NULL;", "DELETE FROM a WHERE b;", "CALL a.b();",
		"CREATE INDEX CONCURRENTLY a ON b (c);", "ALTER TABLE a DETACH PARTITION b CONCURRENTLY;", "))((", "SELECT '", "DROP CAST (a AS b);",
		"MERGE INTO a USING b ON c WHEN MATCHED THEN DELETE;", "ALTER TYPE a DROP ATTRIBUTE b;", "\x00", "SELECT 1::a.b(1,2)[];",
	} {
		f.Add(sql, false)
		f.Add(sql, true)
	}
	content, err := os.ReadFile("../../services/db/schema/migrations/0003_orders.sql")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(content), false)
	f.Fuzz(func(t *testing.T, sql string, alone bool) {
		head := "-- +goose Up\n"
		if alone {
			head = "-- +goose NO TRANSACTION\n" + head
		}
		steps, err := inspect([]migration.File{file(t, "0001_a.sql", head+sql)}, refuse)
		if err != nil {
			return
		}
		types := map[migration.Column]string{}
		for _, c := range columns(steps) {
			types[c] = sql
		}
		for _, what := range destructiveSteps(steps, types) {
			if !strings.HasPrefix(what, "0001: ") {
				t.Errorf("%q", what)
			}
		}
	})
}
