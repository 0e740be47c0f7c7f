package databaseschema

import (
	"os"
	"strings"
	"testing"

	"merchstore.io/merchstore/internal/migration"
)

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
