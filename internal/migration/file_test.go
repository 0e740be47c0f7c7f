package migration_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/internal/migration"
)

func TestNamesOfFiles(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]int64{
		"0001_accounts.sql": 1, "20260102030405_a_2.sql": 20260102030405, "7_x.sql": 7, "0007__.sql": 7,
		"accounts.sql": 0, "0001.sql": 0, "0001_.sql": 0, "0001_a.SQL": 0, "0001_A.sql": 0, "0001-a.sql": 0, "0001_a-b.sql": 0, "+1_a.sql": 0,
		"-1_a.sql": 0, "0000_a.sql": 0, "_a.sql": 0, "99999999999999999999_a.sql": 0, "README.md": 0, "": 0, "0001_a.sql.sql": 0,
	} {
		f, err := migration.NewFile(name, "")
		if (err == nil) != (version > 0) || f.Version != version {
			t.Errorf("%q: version %d, %v; want version %d", name, f.Version, err, version)
		}
		if err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%q is not named in: %v", name, err)
		}
	}
}

func TestFilesAreInOrderOfTheirNumbers(t *testing.T) {
	t.Parallel()
	files, err := migration.Read(fstest.MapFS{"10_b.sql": {Data: []byte("b")}, "9_a.sql": {}, "100_c.sql": {}})
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(func(yield func(string) bool) {
		for _, f := range files {
			yield(f.Name)
		}
	})
	if want := []string{"9_a.sql", "10_b.sql", "100_c.sql"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if want := "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"; files[1].Checksum != want { // printf b | sha256sum
		t.Errorf("checksum %s, want %s", files[1].Checksum, want)
	}
	for about, fsys := range map[string]fstest.MapFS{
		"the same number": {"1_a.sql": {}, "01_b.sql": {}},
		"README.md":       {"1_a.sql": {}, "README.md": {}},
	} {
		if _, err := migration.Read(fsys); err == nil || !strings.Contains(err.Error(), about) {
			t.Errorf("%s: %v", about, err)
		}
	}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	const function = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN\n  RETURN 1;\nEND $$;"
	for name, c := range map[string]struct {
		sql     string
		want    migration.Script
		refused string
	}{
		"statements end with their lines": {
			sql:  "-- about\n-- +goose Up\nSELECT 1;\nSELECT\n 2; -- two\n\n-- +goose Down\nSELECT 3;\n",
			want: migration.Script{Statements: []string{"SELECT 1;", "SELECT\n 2; -- two"}},
		},
		"a marked statement is one": {
			sql:  "-- +goose Up\n-- +goose StatementBegin\n" + function + "\n-- +goose StatementEnd\n",
			want: migration.Script{Statements: []string{function}},
		},
		"without a transaction": {
			sql:  "-- +goose NO TRANSACTION\n-- +goose Up\nVACUUM;\n",
			want: migration.Script{Statements: []string{"VACUUM;"}, NoTransaction: true},
		},
		"nothing to do":              {sql: "-- +goose Up\n"},
		"empty":                      {refused: "no line '-- +goose Up'"},
		"no Up":                      {sql: "-- +goose Down\nSELECT 1;\n", refused: "no line '-- +goose Up'"},
		"SQL before Up":              {sql: "SELECT 1;\n-- +goose Up\n", refused: "can not be read"},
		"no semicolon":               {sql: "-- +goose Up\nSELECT 1\n", refused: "semicolon"},
		"no semicolon before Down":   {sql: "-- +goose Up\nSELECT 1\n-- +goose Down\n", refused: "semicolon"},
		"a statement without end":    {sql: "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n", refused: "StatementEnd"},
		"an unknown annotation":      {sql: "-- +goose Up\n-- +goose Sideways\n", refused: "Sideways"},
		"environment":                {sql: "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${HOME}';\n", refused: "ENVSUB"},
		"environment, written oddly": {sql: "-- +goose Up\n--Env--sub on +goose\nSELECT '${HOME}';\n", refused: "ENVSUB"},
		"NUL":                        {sql: "-- +goose Up\nSELECT 1;\x00DROP TABLE users;\n", refused: "NUL"},
	} {
		f, err := migration.NewFile("0001_a.sql", c.sql)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Script(t.Context())
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.HasPrefix(err.Error(), "0001_a.sql ") || len(err.Error()) > 300 {
				t.Errorf("%s: %v; want it refused, with %q", name, err, c.refused)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestStatementsWithoutTransaction(t *testing.T) {
	t.Parallel()
	for statement, ok := range map[string]bool{
		"CREATE INDEX CONCURRENTLY a ON t (x);":                                            true,
		"create unique index concurrently if not exists \"a b\"\"c\" on only s . t (x);":   true,
		"/* a /* nested */ */ CREATE -- to the end\n INDEX CONCURRENTLY a ON \"S\".t (x);": true,
		"DROP INDEX CONCURRENTLY IF EXISTS s.a;":                                           true,
		"VACUUM (ANALYZE) t;":                                                              true,
		"CREATE INDEX CONCURRENTLY ON t (x);":                                              false,
		"CREATE INDEX CONCURRENTLY":                                                        false,
		"CREATE INDEX a ON t (x);":                                                         false,
		"REINDEX INDEX CONCURRENTLY a;":                                                    false,
		"CREATE DATABASE d;":                                                               false,
		"INSERT INTO t VALUES (1);":                                                        false,
		"ALTER SYSTEM SET fsync = off;":                                                    false,
		"-- CREATE INDEX CONCURRENTLY a ON t (x)":                                          false,
		"/*": false,
		"\"": false,
		"":   false,
	} {
		if _, err := migration.ParseOutside(migration.Script{Statements: []string{statement}}); (err == nil) != ok {
			t.Errorf("%s: %v; want it taken: %t", statement, err, ok)
		}
	}
	for _, number := range []int{0, 2} {
		if _, err := migration.ParseOutside(migration.Script{Statements: slices.Repeat([]string{"VACUUM;"}, number)}); err == nil {
			t.Errorf("%d statements are taken", number)
		}
	}
}

func TestComparison(t *testing.T) {
	t.Parallel()
	file := func(version int64, sum string) migration.File { return migration.File{Version: version, Checksum: sum} }
	applied := func(version int64, sum string) migration.Applied {
		return migration.Applied{Version: version, Checksum: sum}
	}
	begun := func(version int64, sum string) migration.Interrupted {
		return migration.Interrupted{Version: version, Checksum: sum}
	}
	type ledger = migration.Ledger
	for name, c := range map[string]struct {
		files  []migration.File
		ledger ledger
		want   migration.Comparison
	}{
		"nothing at all": {},
		"a fresh database": {
			files: []migration.File{file(1, "a"), file(2, "b")},
			want:  migration.Comparison{Pending: []migration.File{file(1, "a"), file(2, "b")}},
		},
		"up to date": {
			files: []migration.File{file(1, "a")}, ledger: ledger{Applied: []migration.Applied{applied(1, "a")}},
			want: migration.Comparison{Current: 1},
		},
		"edited": {
			files: []migration.File{file(1, "z"), file(2, "b")}, ledger: ledger{Applied: []migration.Applied{applied(1, "a")}},
			want: migration.Comparison{Current: 1, Tampered: []migration.File{file(1, "z")}, Pending: []migration.File{file(2, "b")}},
		},
		"vanished": {
			files: []migration.File{file(2, "b")}, ledger: ledger{Applied: []migration.Applied{applied(1, "a"), applied(2, "b")}},
			want: migration.Comparison{Current: 2, Missing: []migration.Applied{applied(1, "a")}},
		},
		"newer than all files": {
			files: []migration.File{file(1, "a")}, ledger: ledger{Applied: []migration.Applied{applied(1, "a"), applied(2, "b")}},
			want: migration.Comparison{Current: 2, Missing: []migration.Applied{applied(2, "b")}},
		},
		"an older one is new": {
			files:  []migration.File{file(1, "a"), file(2, "b"), file(3, "c"), file(4, "d")},
			ledger: ledger{Applied: []migration.Applied{applied(1, "a"), applied(3, "c")}},
			want:   migration.Comparison{Current: 3, OutOfOrder: []migration.File{file(2, "b")}, Pending: []migration.File{file(4, "d")}},
		},
		"applied by goose's own command": {
			files: []migration.File{file(1, "a")}, ledger: ledger{Applied: []migration.Applied{applied(1, "")}},
			want: migration.Comparison{Current: 1, Unsigned: []migration.File{file(1, "a")}},
		},
		"interrupted": {
			files:  []migration.File{file(1, "a"), file(2, "b")},
			ledger: ledger{Interrupted: []migration.Interrupted{begun(1, "a"), begun(2, "z"), begun(3, "c")}},
			want: migration.Comparison{
				Pending:   []migration.File{file(1, "a"), file(2, "b")},
				Resumable: []migration.Interrupted{begun(1, "a")}, Dirty: []migration.Interrupted{begun(2, "z"), begun(3, "c")},
			},
		},
	} {
		if diff := cmp.Diff(c.want, migration.Compare(c.files, c.ledger)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("0001_a.sql", "-- +goose Up\nCREATE INDEX CONCURRENTLY a ON t (x);\n")
	f.Add("1_a.sql", "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n-- +goose StatementEnd\n-- +goose Down\n")
	f.Add("x", "/*\"--\x00")
	f.Fuzz(func(t *testing.T, name, content string) {
		file, err := migration.NewFile(name, content)
		if err != nil {
			return
		}
		if file.Version < 1 {
			t.Errorf("%q has version %d", name, file.Version)
		}
		script, err := file.Script(context.Background())
		if err == nil {
			_, _ = migration.ParseOutside(script)
		}
		_, _ = migration.ParseOutside(migration.Script{Statements: []string{content}})
	})
}
