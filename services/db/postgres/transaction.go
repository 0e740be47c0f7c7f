package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"merchstore.io/merchstore/internal/failure"
)

// awaitDurable is a statement that makes its transaction's commit wait until all that the
// transaction has seen is durable: on disk, and on a standby if PostgreSQL is configured so. It
// writes a few bytes of WAL that nobody reads, because the commit of a transaction that writes
// nothing does not wait. See decision 15.
const awaitDurable = `SELECT pg_logical_emit_message(true, '', '')`

// write runs f in a transaction and commits it. It may run f several times. If f returns a failure
// for the caller, write rolls back and returns the failure once it is durable: the failure may
// describe what an earlier attempt committed without waiting.
func (db *DB) write(ctx context.Context, operation string, f func(tx pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.writeTimeout)
	defer cancel()
	if err := db.writes.Acquire(ctx, 1); err != nil {
		return wrap(err, operation)
	}
	defer db.writes.Release(1)
	err := retryUnexecuted(ctx, func() error { return db.writeOnce(ctx, f) })
	return wrap(err, operation)
}

func (db *DB) writeOnce(ctx context.Context, f func(tx pgx.Tx) error) error {
	return db.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		err := pgx.BeginFunc(ctx, conn, f)
		if fail, ok := failure.As(err); ok && fail.Kind != failure.Unavailable {
			if _, err := conn.Exec(ctx, awaitDurable); err != nil {
				return err
			}
		}
		if err := checkReplicated(conn); err != nil {
			return err
		}
		return err
	})
}

// begin runs f in a transaction of a job and commits it. It may run f several times.
func (db *DB) begin(ctx context.Context, f func(tx pgx.Tx) error) error {
	return retryUnexecuted(ctx, func() error { return pgx.BeginFunc(ctx, db.background, f) })
}

// unreplicatedKey marks a connection on which a commit did not wait for a standby.
const unreplicatedKey = "unreplicated"

// markUnreplicated marks the connection if PostgreSQL warns that a commit is not replicated. The
// commit itself succeeds: an administrator or a pooler has cancelled its wait. The warning is
// recognized by the routine that raises it, because it has no SQLSTATE of its own and its text may
// be translated.
func markUnreplicated(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		conn.CustomData()[unreplicatedKey] = true
	}
}

// clearUnreplicated removes the mark of the connection's previous user.
func clearUnreplicated(_ context.Context, conn *pgx.Conn) (bool, error) {
	delete(conn.PgConn().CustomData(), unreplicatedKey)
	return true, nil
}

// checkReplicated returns an error if a commit on conn did not wait for its standby.
func checkReplicated(conn *pgxpool.Conn) error {
	if conn.Conn().PgConn().CustomData()[unreplicatedKey] == nil {
		return nil
	}
	return errUnavailable.WithCause(errors.New("a commit did not wait for its standby: the wait was cancelled"))
}
