// Package schema holds the database's migrations and brings a database up to them.
package schema

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // goose works on database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var files embed.FS

// lockID is that of the advisory lock under which the store's schema is changed, whoever changes it.
const lockID = 7_305_807_842_131_045

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
	db, err := sql.Open("pgx", url)
	if err != nil {
		return fmt.Errorf("open database to migrate: %w", err)
	}
	defer db.Close()
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID))
	if err != nil {
		return nil, fmt.Errorf("prepare migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, Migrations(),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}

// Querier is what Check needs of a connection or a pool.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Latest is the version of the newest migration file.
func Latest() (int64, error) {
	names, err := fs.Glob(Migrations(), "*.sql")
	if err != nil {
		return 0, fmt.Errorf("list migrations: %w", err)
	}
	version, err := goose.NumericComponent(names[len(names)-1])
	if err != nil {
		return 0, fmt.Errorf("read version of %s: %w", names[len(names)-1], err)
	}
	return version, nil
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
