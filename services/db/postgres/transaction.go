package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"merchstore.io/merchstore/internal/failure"
)

// awaitDurable is a statement whose transaction waits at its commit until all that it has seen is durable:
// on disk, and on a standby where PostgreSQL is configured so. It writes a few bytes of WAL that no one
// reads; a transaction that writes nothing waits for nothing. See decision 15.
const awaitDurable = `SELECT pg_logical_emit_message(true, '', '')`

// write runs f in a transaction and commits it. If f returns a failure for the client, the transaction is
// rolled back and the failure is returned once it is durable: it may speak of what an earlier attempt has
// committed, and whose commit was not waited for.
func (db *DB) write(ctx context.Context, doing string, f func(tx pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.writeTimeout)
	defer cancel()
	if err := db.writes.Acquire(ctx, 1); err != nil {
		return wrap(err, doing)
	}
	defer db.writes.Release(1)
	err := db.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		err := pgx.BeginFunc(ctx, conn, f)
		if refused, ok := failure.As(err); ok && refused.Kind != failure.Unavailable {
			if _, waited := conn.Exec(ctx, awaitDurable); waited != nil {
				return waited
			}
		}
		if unreplicated := checkReplicated(conn); unreplicated != nil {
			return unreplicated
		}
		return err
	})
	return wrap(err, doing)
}

// unreplicatedKey marks a connection on which a commit did not wait for a standby.
const unreplicatedKey = "unreplicated"

// markUnreplicated marks the connection if PostgreSQL warns that a commit is not replicated. The commit
// itself succeeds: an administrator or a pooler has cancelled its wait. The warning has no SQLSTATE of its
// own, and its text may be translated.
func markUnreplicated(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		conn.CustomData()[unreplicatedKey] = true
	}
}

// forgetUnreplicated clears the mark of the connection's previous user.
func forgetUnreplicated(_ context.Context, conn *pgx.Conn) (bool, error) {
	delete(conn.PgConn().CustomData(), unreplicatedKey)
	return true, nil
}

// checkReplicated returns an error if a commit on conn did not wait for its standby.
func checkReplicated(conn *pgxpool.Conn) error {
	if conn.Conn().PgConn().CustomData()[unreplicatedKey] == nil {
		return nil
	}
	return errAway.Because(errors.New("a commit did not wait for its standby: the wait was cancelled"))
}
