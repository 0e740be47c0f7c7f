package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"merchstore.io/merchstore/services/db/shop"
)

// The jobs that are enqueued with what they are about, in the same transaction. Package jobs does them.
type (
	// ScalePicture makes a picture's sizes.
	ScalePicture struct {
		Hash []byte `json:"hash"`
	}
	// ForgetPicture deletes a picture that no product shows any more.
	ForgetPicture struct {
		Hash []byte `json:"hash"`
	}
)

// Kind implements river.JobArgs.
func (ScalePicture) Kind() string { return "scale_picture" }

// PictureQueue is for the jobs that take much memory.
const PictureQueue = "pictures"

// maxAttempts are spread over some six minutes.
const maxAttempts = 5

// InsertOpts implements river.JobArgsWithInsertOpts.
func (ScalePicture) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: PictureQueue, MaxAttempts: maxAttempts}
}

// Kind implements river.JobArgs.
func (ForgetPicture) Kind() string { return "forget_picture" }

// enqueuer adds jobs to transactions.
type enqueuer interface {
	InsertTx(ctx context.Context, tx pgx.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
}

// ForgetKeys deletes idempotency keys whose answers are not replayed any more, at most limit, and says how many it were.
func (db *DB) ForgetKeys(ctx context.Context, limit int) (int64, error) {
	tag, err := db.pool.Exec(ctx, `
		DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM idempotency_keys WHERE created_at < now() - make_interval(secs => $1) LIMIT $2 FOR UPDATE SKIP LOCKED
		))`, shop.KeyLifetime.Seconds(), limit)
	return tag.RowsAffected(), wrap(err, "forget idempotency keys")
}

// WaitingJobs counts the jobs that are not done, by their kinds.
func (db *DB) WaitingJobs(ctx context.Context) (map[string]int, error) {
	rows, err := db.samples.Query(ctx, `
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
