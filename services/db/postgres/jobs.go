package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"merchstore.io/merchstore/services/db/shop"
)

// Jobs that are enqueued in the transaction of the change they belong to. Package jobs runs them.
type (
	// ScalePicture scales a picture to its sizes.
	ScalePicture struct {
		Hash []byte `json:"hash"`
		// By is the account that has uploaded it, 0 for the store itself.
		By int32 `json:"by,omitzero"`
	}
	// DeletePicture deletes a picture unless a product shows it.
	DeletePicture struct {
		Hash []byte `json:"hash"`
	}
)

// Kind implements river.JobArgs.
func (ScalePicture) Kind() string { return "scale_picture" }

// PictureQueue is the queue of jobs that need much memory.
const PictureQueue = "pictures"

// maxAttempts spreads the attempts over about six minutes.
const maxAttempts = 5

// InsertOpts implements river.JobArgsWithInsertOpts.
func (ScalePicture) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: PictureQueue, MaxAttempts: maxAttempts}
}

// enqueueScaling enqueues a job of a lower priority for each unfinished one of the same account, so
// that one account's pictures do not keep others waiting.
func (db *DB) enqueueScaling(ctx context.Context, tx pgx.Tx, job ScalePicture) error {
	const lowest = 4
	priority := 1
	if job.By != 0 {
		err := tx.QueryRow(ctx, `SELECT least(1 + count(*), $3) FROM river_job WHERE kind = $1
			AND args @> jsonb_build_object('by', $2::integer)
			AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`, job.Kind(), job.By, lowest).Scan(&priority)
		if err != nil {
			return fmt.Errorf("count pictures to scale: %w", err)
		}
	}
	if _, err := db.jobs.InsertTx(ctx, tx, job, &river.InsertOpts{Priority: priority}); err != nil {
		return fmt.Errorf("enqueue scaling of a picture: %w", err)
	}
	return nil
}

// Kind implements river.JobArgs. Its value is stored with queued jobs and must not change.
func (DeletePicture) Kind() string { return "forget_picture" }

// enqueuer enqueues jobs in a transaction.
type enqueuer interface {
	InsertTx(ctx context.Context, tx pgx.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
}

// keyPages is how many pages of idempotency_keys a statement reads: it takes milliseconds.
const keyPages = 32

// DeleteExpiredKeys deletes the idempotency keys older than shop.KeyLifetime, and returns their
// number. It reads the table once, a few pages at a time: an index would have to be written by every
// order.
func (db *DB) DeleteExpiredKeys(ctx context.Context) (deleted int64, err error) {
	var pages int64
	err = db.background.QueryRow(ctx,
		`SELECT pg_relation_size('idempotency_keys') / current_setting('block_size')::integer`).Scan(&pages)
	for first := int64(0); err == nil && first < pages; first += keyPages {
		var tag pgconn.CommandTag
		tag, err = db.background.Exec(ctx, `
			DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
				SELECT ctid FROM idempotency_keys
				WHERE ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $2::bigint)::tid
					AND created_at < now() - make_interval(secs => $3) FOR UPDATE SKIP LOCKED
			))`, first, first+keyPages, shop.KeyLifetime.Seconds())
		deleted += tag.RowsAffected()
	}
	return deleted, wrap(err, "delete expired idempotency keys")
}

// WaitingJobs returns the number of unfinished jobs by kind.
func (db *DB) WaitingJobs(ctx context.Context) (map[string]int, error) {
	rows, err := db.metrics.Query(ctx, `
		SELECT kind, count(*) FROM river_job WHERE state IN ('available', 'retryable', 'running', 'scheduled') GROUP BY kind`)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	waiting := map[string]int{}
	var kind string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&kind, &n}, func() error {
		waiting[kind] = n
		return nil
	})
	return waiting, wrap(err, "count jobs")
}
