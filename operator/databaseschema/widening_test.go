package databaseschema

import (
	"slices"
	"strings"
	"testing"

	"merchstore.io/merchstore/internal/migration"
)

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
