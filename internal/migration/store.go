package migration

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3/database"
)

// store keeps goose's own table, with more in it: goose's own command can go on reading it.
type store struct {
	database.Store

	schema string
	file   File
	// recorded is called when the file's own statements are done.
	recorded func()
}

func newStore(schema string, f File, recorded func()) (store, error) {
	inner, err := database.NewStore(database.DialectPostgres, schema+".goose_db_version")
	if err != nil {
		return store{}, fmt.Errorf("prepare ledger: %w", err)
	}
	return store{Store: inner, schema: schema, file: f, recorded: recorded}, nil
}

// TableExists says yes: the ledger is prepared before goose is asked for anything.
func (s store) TableExists(context.Context, database.DBTxConn) (bool, error) { return true, nil }

// GetMigration finds only what is applied. (A row can also say that a version was taken back.)
func (s store) GetMigration(ctx context.Context, db database.DBTxConn, version int64) (*database.GetMigrationResult, error) {
	found, err := s.Store.GetMigration(ctx, db, version)
	if err == nil && !found.IsApplied {
		return nil, database.ErrVersionNotFound
	}
	return found, err
}

// CreateVersionTable makes what is missing of the ledger.
func (s store) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, s.Tablename()).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if err := s.Store.CreateVersionTable(ctx, db); err != nil {
			return err
		}
		if err := s.Store.Insert(ctx, db, database.InsertRequest{Version: 0}); err != nil {
			return err
		}
	}
	_, err := db.ExecContext(ctx, `ALTER TABLE `+s.Tablename()+`
		ADD COLUMN IF NOT EXISTS name text, ADD COLUMN IF NOT EXISTS checksum text, ADD COLUMN IF NOT EXISTS duration_ms bigint;
		CREATE TABLE IF NOT EXISTS `+s.schema+`.goose_db_running (
			version_id bigint CONSTRAINT goose_db_running_pkey PRIMARY KEY,
			checksum text NOT NULL,
			started_at timestamptz NOT NULL DEFAULT clock_timestamp()
		)`)
	return err
}

// Insert records the file, in the transaction of its own statements if it has one, and ends what was marked as begun. The error is
// errNotHeld if the lock is not held there, or has not kept somebody else from recording the file: a pooler may have given both the
// same connection, to which the lock belongs.
func (s store) Insert(ctx context.Context, db database.DBTxConn, r database.InsertRequest) error {
	s.recorded()
	return oneRow(db.ExecContext(ctx, `
		WITH begun AS (DELETE FROM `+s.schema+`.goose_db_running WHERE version_id = $2 AND `+held+` RETURNING started_at)
		INSERT INTO `+s.Tablename()+` (version_id, is_applied, tstamp, name, checksum, duration_ms)
		SELECT $2, true, clock_timestamp() AT TIME ZONE 'UTC', $3, $4, round(1000 * extract(epoch FROM
			clock_timestamp() - coalesce((SELECT started_at FROM begun), transaction_timestamp())))
		WHERE `+held+` AND NOT coalesce((SELECT is_applied FROM `+s.Tablename()+` WHERE version_id = $2 ORDER BY id DESC LIMIT 1), false)`,
		int64(LockID), r.Version, s.file.Name, s.file.Checksum))
}

// oneRow finds errNotHeld in the result of a statement that writes one row if held is so.
func oneRow(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return cmp.Or(err, errNotHeld)
	}
	return nil
}

// Prepare makes the ledger, or what an older one lacks, and signs the files that were applied by something that keeps no checksums.
// It needs the lock.
func (s *Session) Prepare(ctx context.Context, unsigned []File) error {
	var found, signed bool
	err := s.db.QueryRowContext(ctx, `
		SELECT count(*) > 0, count(DISTINCT a.attname) = 3 AND to_regclass('goose_db_running') IS NOT NULL,
			coalesce(min(c.relnamespace::regnamespace::text), quote_ident(current_schema()), '')
		FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('name', 'checksum', 'duration_ms')
		WHERE c.oid = to_regclass('goose_db_version')`).Scan(&found, &signed, &s.schema)
	if err != nil {
		return fmt.Errorf("look for ledger: %w", err)
	}
	if s.schema == "" {
		return errors.New("prepare ledger: the database has no schema to make tables in")
	}
	if found && signed && len(unsigned) == 0 {
		return nil
	}
	ledger, err := newStore(s.schema, File{}, nil)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("prepare ledger: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if !found || !signed {
		if err := ledger.CreateVersionTable(ctx, tx); err != nil {
			return fmt.Errorf("prepare ledger: %w", err)
		}
	}
	if err := sign(ctx, tx, ledger.Tablename(), unsigned); err != nil {
		return fmt.Errorf("sign what was applied: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("prepare ledger: %w", err)
	}
	return nil
}

func sign(ctx context.Context, tx *sql.Tx, table string, unsigned []File) error {
	for _, f := range unsigned {
		_, err := tx.ExecContext(ctx,
			`UPDATE `+table+` SET name = $2, checksum = $3 `+ //nolint:gosec // the table's name is the database's own, quoted
				`WHERE version_id = $1 AND is_applied AND checksum IS NULL`,
			f.Version, f.Name, f.Checksum)
		if err != nil {
			return err
		}
	}
	return nil
}

// mark says that a file that does not run in a transaction is about to begin.
func (s *Session) mark(ctx context.Context, f File) error {
	return oneRow(s.db.ExecContext(ctx,
		`INSERT INTO `+s.schema+`.goose_db_running (version_id, checksum) SELECT $2, $3 WHERE `+held+
			` ON CONFLICT (version_id) DO UPDATE SET checksum = $3, started_at = clock_timestamp()`, int64(LockID), f.Version, f.Checksum))
}

func (s *Session) unmark(ctx context.Context, f File) error {
	_, err := s.db.ExecContext(ctx,
		`DELETE FROM `+s.schema+`.goose_db_running WHERE version_id = $1`, f.Version) //nolint:gosec // the same
	return err
}

// marked tells whether a file was begun.
func (s *Session) marked(ctx context.Context, f File) (marked bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM `+s.schema+`.goose_db_running WHERE version_id = $1 AND checksum = $2)`,
		f.Version, f.Checksum).Scan(&marked)
	return marked, err
}

// record says that a file was applied without running it.
func (s *Session) record(ctx context.Context, f File) error {
	ledger, err := newStore(s.schema, f, func() {})
	if err != nil {
		return err
	}
	return ledger.Insert(ctx, s.db, database.InsertRequest{Version: f.Version})
}
