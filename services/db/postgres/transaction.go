package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"merchstore.io/merchstore/internal/failure"
)

// Whatever a write answers is durable, see decision 15. A commit waits for the disk, and for a standby where PostgreSQL is
// told so; but a call may answer by what an earlier attempt has committed without its commit being waited for: its
// connection was lost, its time was over, the server was restarted. Such an answer waits for a commit of its own, which
// comes later in the log.

// awaitDurable is a statement whose transaction waits at its commit until all that it has seen is durable. It writes a few
// bytes of WAL, which nobody reads; a transaction that writes nothing waits for nothing.
const awaitDurable = `SELECT pg_logical_emit_message(true, '', '')`

// write runs f in a transaction and commits it. If f fails with a failure for the caller, which may speak of what an earlier
// attempt has committed, that is rolled back, and the failure is returned once it is durable.
func (db *DB) write(ctx context.Context, doing string, f func(tx pgx.Tx) error) error {
	err := db.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		err := pgx.BeginFunc(ctx, conn, f)
		if refused, ok := failure.As(err); ok && refused.Kind != failure.Unavailable {
			if _, waited := conn.Exec(ctx, awaitDurable); waited != nil {
				return waited
			}
		}
		if notWaited := unreplicated(conn); notWaited != nil {
			return notWaited
		}
		return err
	})
	return wrap(err, doing)
}

// unreplicatedKey marks a connection on which a commit did not wait for a standby.
const unreplicatedKey = "unreplicated"

// noteUnreplicated marks the connection if PostgreSQL warns that a commit is not replicated. The commit itself succeeds: an
// administrator or a pooler has cancelled its wait. The warning has no SQLSTATE of its own, and its text may be translated.
func noteUnreplicated(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		conn.CustomData()[unreplicatedKey] = true
	}
}

// unreplicated returns an error if a commit on conn did not wait for its standby.
func unreplicated(conn *pgxpool.Conn) error {
	data := conn.Conn().PgConn().CustomData()
	if data[unreplicatedKey] == nil {
		return nil
	}
	delete(data, unreplicatedKey)
	return errAway.Because(errors.New("a commit did not wait for its standby: the wait was cancelled"))
}
