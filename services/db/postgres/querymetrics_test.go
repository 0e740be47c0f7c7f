package postgres

import "testing"

func TestParseQueryName(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT id FROM users WHERE id = $1":                                        "select users",
		"\n\t\tINSERT INTO products (name) VALUES ($1)":                             "insert products",
		"UPDATE orders SET cancelled_at = now()":                                    "update orders",
		"DELETE FROM idempotency_keys":                                              "delete idempotency_keys",
		"WITH gone AS (DELETE FROM pictures RETURNING 1) SELECT count(*) FROM gone": "with pictures",
		"begin": "begin",
		"-- name: JobInsertFastMany :many\nINSERT INTO river_job": "JobInsertFastMany",
		`SELECT 1 FROM "Robert'); DROP TABLE students"`:           "select robert",
		"": "other",
	} {
		if got := parseQueryName(sql); got != want {
			t.Errorf("parseQueryName(%q) = %q, want %q", sql, got, want)
		}
	}
}
