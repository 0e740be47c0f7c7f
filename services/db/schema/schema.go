// Package schema holds the database's migrations and brings a database up to them.
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

// ErrTooOld means that the database is not yet at the schema this program was built for.
var ErrTooOld = errors.New("database schema is too old")

// Migrations are the numbered files, for whoever applies them elsewhere.
func Migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// Migrate applies what the database at url has not seen. Whoever else does the same at this moment is waited for.
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

// Querier is what Check needs of a connection or a pool.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Latest is the version of the newest migration file.
func Latest() (int64, error) {
	all, err := migration.Read(Migrations())
	if err != nil {
		return 0, err
	}
	return all[len(all)-1].Version, nil
}

// Check returns ErrTooOld unless the database is at least at the schema this program was built for. A newer one is
// fine: migrations only ever widen what the version before them needs.
func Check(ctx context.Context, db Querier) error {
	want, err := Latest()
	if err != nil {
		return err
	}
	var exists bool
	if err := db.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&exists); err != nil {
		return fmt.Errorf("look for schema version: %w", err)
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
