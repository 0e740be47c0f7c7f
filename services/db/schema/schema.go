// Package schema embeds the database's migrations and applies them.
package schema

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/migration"
)

//go:embed migrations/*.sql
var files embed.FS

// ErrTooOld means that the database lacks migrations that this program needs.
var ErrTooOld = errors.New("database schema is too old")

// Migrations returns the migration files.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// Migrate applies the pending migrations to the database at url. It waits for concurrent calls.
func Migrate(ctx context.Context, url string) error {
	all, err := migration.Read(Migrations())
	if err != nil {
		return err
	}
	if err := migration.Migrate(ctx, url, all); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}

// Querier is a connection or a pool.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Latest returns the version of the newest migration.
func Latest() (int64, error) {
	all, err := migration.Read(Migrations())
	if err != nil {
		return 0, err
	}
	return all[len(all)-1].Version, nil
}

// Check returns ErrTooOld unless the database has the migrations that this program needs. A newer
// schema is fine because migrations are compatible with the previous version of the program.
func Check(ctx context.Context, db Querier) error {
	want, err := Latest()
	if err != nil {
		return err
	}
	var exists bool
	if err := db.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&exists); err != nil {
		return fmt.Errorf("find schema version: %w", err)
	}
	var have int64
	if exists {
		err := db.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have)
		if err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
	}
	if have < want {
		return fmt.Errorf("%w: at version %d, need %d; run `db migrate`", ErrTooOld, have, want)
	}
	return nil
}
