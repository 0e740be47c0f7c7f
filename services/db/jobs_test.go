package main

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"merchstore.io/merchstore/test/database"
)

// TestJobTablesAreRivers compares the tables that our migrations create with those of River's own.
func TestJobTablesAreRivers(t *testing.T) {
	t.Parallel()
	theirs := database.Empty(t)
	migrateRiver(t, theirs)
	describe := func(url string) []string {
		return lines(t, url, `
			SELECT format('%s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
			FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
			WHERE c.relname LIKE 'river%' AND c.relname NOT LIKE 'river_migration%' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
			UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'river%' AND tablename <> 'river_migration'
			UNION ALL SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
				WHERE conrelid::regclass::text LIKE 'river%' AND conrelid::regclass::text <> 'river_migration' AND contype <> 'n'
			UNION ALL SELECT format('%s %s', relname, relpersistence) FROM pg_class WHERE relname LIKE 'river%' AND relkind = 'r' AND relname <> 'river_migration'
			UNION ALL SELECT format('%s %s', proname, provolatile) FROM pg_proc WHERE proname LIKE 'river%'
			UNION ALL SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum
			ORDER BY 1`)
	}
	want, got := describe(theirs), describe(database.New(t))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-River's +ours):\n%s", diff)
	}
}

func migrateRiver(t *testing.T, url string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, url, sql string) []string {
	t.Helper()
	rows, err := database.Connect(t, url).Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}
