package migration

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// applyNonTransactional runs a file without a transaction, or resumes it. A mark in
// goose_db_running stands for an attempt that has begun; it is deleted when the file is recorded.
func (s *Session) applyNonTransactional(ctx context.Context, f File, script Script) error {
	statement, err := ParseNonTransactional(script)
	if err != nil {
		return fmt.Errorf("%s %w", f.Name, err)
	}
	marked, err := s.marked(ctx, f)
	if err != nil {
		return err
	}
	done, err := s.dropInvalidIndex(ctx, statement)
	if err != nil {
		return err
	}
	if marked && done { // an attempt was interrupted after its statement
		return s.record(ctx, f)
	}
	if done { // by others: the server decides whether that is an error; nothing needs cleaning up
		return s.execute(ctx, f, script)
	}
	if err := s.mark(ctx, f); err != nil {
		return err
	}
	// Such a statement waits for old transactions while nobody waits for it: a timeout would only
	// make it start again.
	if _, err := s.conn.Exec(ctx, `SET lock_timeout = 0`); err != nil {
		return fmt.Errorf("disable lock timeout: %w", err)
	}
	err = s.execute(ctx, f, script)
	if err != nil && ctx.Err() == nil {
		_ = s.cleanUp(ctx, f, statement) // if it fails, the mark stays: the next attempt resumes
	}
	return err
}

// cleanUp removes what a failed statement has left, and the mark. An index whose DROP INDEX failed
// halfway can only be dropped, so its mark stays.
func (s *Session) cleanUp(ctx context.Context, f File, statement NonTransactional) error {
	if err := s.checkLock(ctx); err != nil {
		return err
	}
	done, err := s.dropInvalidIndex(ctx, statement)
	if err != nil || done { // done: only recording it failed
		return err
	}
	if name, valid, err := s.findIndex(ctx, statement); err != nil || name != "" && !valid {
		return err
	}
	return s.unmark(ctx, f)
}

// dropInvalidIndex drops the index of a CREATE INDEX that did not finish, and reports whether the
// statement's result is there already.
func (s *Session) dropInvalidIndex(
	ctx context.Context, statement NonTransactional,
) (done bool, err error) {
	name, valid, err := s.findIndex(ctx, statement)
	switch {
	case err != nil:
		return false, err
	case statement.kind == createIndex && name != "" && !valid:
		if _, err := s.conn.Exec(ctx, `DROP INDEX CONCURRENTLY `+name); err != nil {
			return false, fmt.Errorf("drop invalid index %s: %w", name, err)
		}
		return false, nil
	case statement.kind == createIndex:
		return name != "", nil
	default:
		return statement.kind == dropIndex && name == "", nil
	}
}

// findIndex returns the qualified name of the statement's index, empty if there is none, and
// whether the index is valid.
func (s *Session) findIndex(
	ctx context.Context, statement NonTransactional,
) (name string, valid bool, err error) {
	switch statement.kind {
	case createIndex: // in the schema of its table
		err = s.conn.QueryRow(ctx, `
			SELECT indexrelid::regclass::text, indisvalid
			FROM pg_index JOIN pg_class ON oid = indexrelid
			WHERE indrelid = to_regclass($1) AND relname = (parse_ident($2))[1]::name`,
			statement.table, statement.index).Scan(&name, &valid)
	case dropIndex:
		err = s.conn.QueryRow(ctx, `
			SELECT indexrelid::regclass::text, indisvalid
			FROM pg_index WHERE indexrelid = to_regclass($1)`,
			statement.index).Scan(&name, &valid)
	case vacuum:
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", false, fmt.Errorf("look for index %s: %w", statement.index, err)
	}
	return name, valid, nil
}

// mark records that a file is about to begin. The error is errNotHeld if the lock is not held.
func (s *Session) mark(ctx context.Context, f File) error {
	tag, err := s.conn.Exec(ctx, `INSERT INTO `+s.schema+`.goose_db_running (version_id, checksum)
		SELECT $2, $3 WHERE `+lockHeld+`
		ON CONFLICT (version_id) DO UPDATE SET checksum = $3, started_at = clock_timestamp()`,
		int64(LockID), f.Version, f.Checksum)
	if err != nil {
		return fmt.Errorf("mark as begun: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return errNotHeld
	}
	return nil
}

func (s *Session) unmark(ctx context.Context, f File) error {
	_, err := s.conn.Exec(ctx,
		`DELETE FROM `+s.schema+`.goose_db_running WHERE version_id = $1`, f.Version)
	return err
}

// marked reports whether an attempt at the file has begun.
func (s *Session) marked(ctx context.Context, f File) (marked bool, err error) {
	err = s.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+s.schema+`.goose_db_running
		WHERE version_id = $1 AND checksum = $2)`, f.Version, f.Checksum).Scan(&marked)
	if err != nil {
		return false, fmt.Errorf("look for mark: %w", err)
	}
	return marked, nil
}
