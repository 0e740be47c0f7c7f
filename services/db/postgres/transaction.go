package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"merchstore.io/merchstore/internal/failure"
)

// Everything that a write reports is durable, see decision 15. A commit waits for the disk and, if
// PostgreSQL is configured so, for a standby. But a call may report what an earlier attempt
// committed without waiting: its connection was lost, it timed out, or the server restarted. Such a
// report waits for a commit of its own, which comes later in the log.

// awaitDurable is a statement that makes its transaction's commit wait until all that the
// transaction has seen is durable. It writes a few bytes of WAL that nobody reads, because the
// commit of a transaction that writes nothing does not wait.
const awaitDurable = `SELECT pg_logical_emit_message(true, '', '')`

// write runs f in a transaction and commits it. If f returns a failure for the caller, which may
// describe what an earlier attempt committed, write rolls back and returns the failure once that
// state is durable.
func (db *DB) write(ctx context.Context, doing string, f func(tx pgx.Tx) error) error {
	err := db.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
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
	return wrap(err, doing)
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

// checkReplicated returns an error if a commit on conn did not wait for its standby.
func checkReplicated(conn *pgxpool.Conn) error {
	data := conn.Conn().PgConn().CustomData()
	if data[unreplicatedKey] == nil {
		return nil
	}
	delete(data, unreplicatedKey)
	return errUnavailable.Because(errors.New("a commit did not wait for its standby: the wait was cancelled"))
}
