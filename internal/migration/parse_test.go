package migration_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/internal/migration"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const (
		begin, end = "-- +goose StatementBegin\n", "-- +goose StatementEnd\n"
		function   = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN\n" +
			"  RETURN 1;\nEND $$;"
	)
	for name, c := range map[string]struct {
		sql        string
		statements []string
	}{
		"a statement ends with a line": {
			"-- about\n-- +goose Up\nSELECT 1;\nSELECT\n 2; -- two\n\n-- +goose Down\nSELECT 3;\n",
			[]string{"SELECT 1;", "SELECT\n 2; -- two"},
		},
		"an enclosed statement is not split": {
			"-- +goose Up\n" + begin + function + "\n" + end,
			[]string{function},
		},
		"an enclosed statement needs no semicolon": {
			"-- +goose Up\n" + begin + "SELECT 1\n" + end,
			[]string{"SELECT 1"},
		},
		"a function on one line": {
			"-- +goose Up\nSELECT $$;$$, ';', \";\";\n",
			[]string{"SELECT $$;$$, ';', \";\";"},
		},
		"two statements on one line are sent together": {
			"-- +goose Up\nSELECT 1; SELECT 2;\n",
			[]string{"SELECT 1; SELECT 2;"},
		},
		"a comment without a space hides the semicolon": {
			"-- +goose Up\nSELECT 1;--a\nSELECT 2;\n",
			[]string{"SELECT 1;--a\nSELECT 2;"},
		},
		"a comment before a statement is left out": {
			"-- +goose Up\n-- a;\n\nSELECT 1\n-- b;\n;\n",
			[]string{"SELECT 1\n-- b;\n;"},
		},
		"lines may end as on Windows": {
			"-- +goose Up\r\nSELECT\r\n1;\r\n",
			[]string{"SELECT\n1;"},
		},
		"a byte-order mark is ignored": {
			"\ufeff-- +goose Up\r\nSELECT 1;\r\n",
			[]string{"SELECT 1;"},
		},
		"transaction commands in strings, comments and function bodies": {
			"-- +goose Up\nSELECT 'a; COMMIT;', \"; END\", E'\\'; COMMIT', $a$; ROLLBACK; $$ $a$ /* ; BEGIN */;\n" +
				begin + "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;\n" + end,
			[]string{
				"SELECT 'a; COMMIT;', \"; END\", E'\\'; COMMIT', $a$; ROLLBACK; $$ $a$ /* ; BEGIN */;",
				"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;",
			},
		},
		"savepoints": {
			"-- +goose Up\nSAVEPOINT a;\nROLLBACK TO a;\nROLLBACK WORK TO SAVEPOINT a;\nPREPARE q AS SELECT 1;\n",
			[]string{"SAVEPOINT a;", "ROLLBACK TO a;", "ROLLBACK WORK TO SAVEPOINT a;", "PREPARE q AS SELECT 1;"},
		},
		"annotations may be written in any case": {
			"--+goose  up--\nSELECT 1;\n--+GOOSE Down\n",
			[]string{"SELECT 1;"},
		},
		"nothing to do": {"-- +goose Up\n", nil},
		"a statement of the Down section is left out": {
			"-- +goose Up\n-- +goose Down\nSELECT 1;\n",
			nil,
		},
		"a semicolon in a string ends a statement, too": {
			"-- +goose Up\nSELECT 'a;\nb';\n",
			[]string{"SELECT 'a;", "b';"},
		},
	} {
		got, err := parse(t, c.sql)
		if err != nil || !cmp.Equal(c.statements, got.Statements) || got.NoTransaction {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	got, err := parse(t, "-- +goose NO TRANSACTION\n-- +goose Up\nVACUUM;\n")
	if err != nil || !got.NoTransaction || len(got.Statements) != 1 {
		t.Errorf("without a transaction: %+v, %v", got, err)
	}
}

func parse(t *testing.T, sql string) (migration.Script, error) {
	t.Helper()
	f, err := migration.NewFile("0001_a.sql", sql)
	if err != nil {
		t.Fatal(err)
	}
	return f.Parse()
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const noUp = "0001_a.sql has no line '-- +goose Up'"
	for name, c := range map[string]struct{ sql, want string }{
		"an empty file": {"", noUp},
		"no Up":         {"-- +goose Down\nSELECT 1;\n", noUp},
		"SQL before Up": {"SELECT 1;\n-- +goose Up\n", noUp},
		"StatementBegin before Up": {
			"-- +goose StatementBegin\n",
			"line 1: '-- +goose StatementBegin' is unknown, or not allowed",
		},
		"Up twice": {
			"-- +goose Up\n-- +goose Up\n",
			"0001_a.sql, line 2: '-- +goose Up' is unknown, or not allowed",
		},
		"Down twice": {
			"-- +goose Up\n-- +goose Down\n-- +goose Down\n",
			"line 3: '-- +goose Down' is unknown, or not allowed",
		},
		"no semicolon": {
			"-- +goose Up\nSELECT 1\n",
			"0001_a.sql, line 2: a statement does not end with a semicolon",
		},
		"no semicolon before Down": {
			"-- +goose Up\nSELECT 1\n-- +goose Down\n",
			"line 3: a statement does not end with a semicolon",
		},
		"no semicolon after Down": {
			"-- +goose Up\n-- +goose Down\nSELECT 1\n",
			"line 3: a statement does not end with a semicolon",
		},
		"no StatementEnd": {
			"-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n",
			"line 3: there is no '-- +goose StatementEnd'",
		},
		"no StatementEnd for Down": {
			"-- +goose Up\n-- +goose StatementBegin\n-- +goose Down\n",
			"line 3: '-- +goose Down' is unknown, or not allowed",
		},
		"StatementBegin twice": {
			"-- +goose Up\n-- +goose StatementBegin\n-- +goose StatementBegin\n",
			"line 3: '-- +goose StatementBegin' is unknown, or not allowed",
		},
		"no StatementBegin": {
			"-- +goose Up\n-- +goose StatementEnd\n",
			"line 2: '-- +goose StatementEnd' is unknown, or not allowed",
		},
		"nothing in between": {
			"-- +goose Up\n-- +goose StatementBegin\n-- a\n-- +goose StatementEnd\nSELECT 1;\n",
			"line 4: there is no statement between",
		},
		"an unknown annotation": {
			"-- +goose Up\n-- +goose Sideways\n",
			"line 2: '-- +goose Sideways' is unknown, or not allowed",
		},
		"an indented annotation": {
			" -- +goose Up\n",
			"line 1: an annotation must stand at the beginning",
		},
		"environment": {
			"-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${HOME}';\n",
			"line 2: '+goose ENVSUB'",
		},
		"environment, written oddly": {
			"-- +goose Up\n--Env--sub on +goose\nSELECT '${HOME}';\n",
			"line 2: '+goose ENVSUB'",
		},
		"NUL": {
			"-- +goose Up\nSELECT 1;\x00DROP TABLE users;\n",
			"line 2: there is a NUL byte",
		},
	} {
		_, err := parse(t, c.sql)
		if err == nil || !strings.HasPrefix(err.Error(), "0001_a.sql") ||
			!strings.Contains(err.Error(), c.want) || len(err.Error()) > 300 {
			t.Errorf("%s: %v; want it refused: %s", name, err, c.want)
		}
	}
}

func TestParseRefusesToEndTheTransaction(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ sql, command string }{
		{"COMMIT;", "COMMIT"},
		{"commit and chain;", "COMMIT"},
		{"END;", "END"},
		{"/* a; */ Rollback -- b\n;", "ROLLBACK"},
		{"ROLLBACK TRANSACTION;", "ROLLBACK"},
		{"ABORT;", "ABORT"},
		{"BEGIN ISOLATION LEVEL SERIALIZABLE;", "BEGIN"},
		{"START TRANSACTION;", "START TRANSACTION"},
		{"PREPARE TRANSACTION 'a';", "PREPARE TRANSACTION"},
		{"SELECT 1; SELECT ';'; COMMIT; SELECT 2;", "COMMIT"},
		{"SELECT '\\'; COMMIT; SELECT '';", "COMMIT"},
		{"SELECT $a$ $b$ $a$; COMMIT; SELECT $b$$b$;", "COMMIT"},
		{"SELECT CASE WHEN true THEN 1 END; COMMIT;", "COMMIT"},
	} {
		_, err := parse(t, "-- +goose Up\nSELECT 0;\n"+tt.sql+"\n")
		if err == nil || !strings.Contains(err.Error(), ": "+tt.command+" is not allowed") {
			t.Errorf("%s: %v", tt.sql, err)
		}
	}
	// The Down section, which is only run by hand, may contain them.
	if _, err := parse(t, "-- +goose Up\nSELECT 1;\n-- +goose Down\nCOMMIT;\n"); err != nil {
		t.Error(err)
	}
}
