package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// collect runs a query and scans all of its rows.
func collect[T any](ctx context.Context, q querier, operation string, scan pgx.RowToFunc[T], sql string, args ...any) (found []T, err error) {
	run := func() error {
		rows, err := q.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, scan)
		return err
	}
	if _, outsideTransaction := q.(*pgxpool.Pool); outsideTransaction {
		return found, wrap(retryUnexecuted(ctx, run), operation)
	}
	return found, wrap(run(), operation)
}

// collectOne runs a query that returns at most one row, and returns notFound if there is none.
func collectOne[T any](ctx context.Context, q querier, operation string, notFound error, scan pgx.RowToFunc[T], sql string, args ...any) (one T, err error) {
	found, err := collect(ctx, q, operation, scan, sql, args...)
	switch {
	case err != nil:
		return one, err
	case len(found) == 0:
		return one, notFound
	}
	return found[0], nil
}

// retryUnexecuted calls f again if PostgreSQL has not executed it, for one of two reasons:
//   - A migration has changed the type of a column since one of f's statements was prepared. By then
//     the pools have replaced their connections, which all had prepared it.
//   - The server refuses new connections, because its password has just been replaced or it has too
//     many. Open connections stay, so f waits a second for one of these.
//
// f must be a whole transaction.
func retryUnexecuted(ctx context.Context, f func() error) error {
	stale, pause := false, 10*time.Millisecond
	for {
		err := f()
		switch {
		case isStalePlan(err) && !stale:
			stale = true
		case isRefused(err) && pause < time.Second:
			select {
			case <-ctx.Done():
				return err
			case <-time.After(pause):
				pause *= 2
			}
		default:
			return err
		}
	}
}
