package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"

	"merchstore.io/merchstore/services/db/picture"
	"merchstore.io/merchstore/services/db/postgres"
)

// scalingFailed is the failure of a picture that is not invalid itself.
const scalingFailed = "could not be scaled; upload it again"

// scaleWorker scales pictures.
type scaleWorker struct {
	river.WorkerDefaults[postgres.ScalePicture]

	store Store
}

// Work implements river.Worker.
func (w *scaleWorker) Work(ctx context.Context, job *river.Job[postgres.ScalePicture]) error {
	err := w.scale(ctx, job.Args.Hash)
	if err != nil && job.Attempt == job.MaxAttempts {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTimeout) // the job's own timeout may be over
		defer cancel()
		err = errors.Join(err, w.store.FailPicture(ctx, job.Args.Hash, scalingFailed))
	}
	return err
}

// failTimeout bounds storing that a picture has failed.
const failTimeout = 5 * time.Second

func (w *scaleWorker) scale(ctx context.Context, hash []byte) error {
	original, err := w.store.UnscaledPicture(ctx, hash)
	if err != nil || original == nil {
		return err
	}
	// Return the memory before the next picture needs as much. The garbage collector alone would
	// run too late, and the process would exceed its memory limit.
	defer debug.FreeOSMemory()
	sizes, err := picture.Scale(ctx, original)
	if invalid := new(picture.InvalidError); errors.As(err, &invalid) {
		return w.store.FailPicture(ctx, hash, invalid.Reason)
	}
	if errors.Is(err, context.DeadlineExceeded) { // it would take as long again, before other pictures
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTimeout)
		defer cancel()
		return w.store.FailPicture(ctx, hash, "takes too long to decode; save it smaller")
	}
	if err != nil {
		return fmt.Errorf("scale picture: %w", err)
	}
	return w.store.FinishPicture(ctx, hash, sizes)
}

// cleanUp is the daily job that deletes expired idempotency keys and orphaned pictures.
type cleanUp struct{}

// Kind implements river.JobArgs.
func (cleanUp) Kind() string { return "clean_up" }

// InsertOpts implements river.JobArgsWithInsertOpts. The job is unique per day, however many
// processes start.
func (cleanUp) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: 24 * time.Hour}}
}

// sumSales is the job that adds new orders to the sums of sales.
type sumSales struct{}

// Kind implements river.JobArgs.
func (sumSales) Kind() string { return "sum_sales" }

// sumSalesInterval bounds the orders that a reader of sales sums up itself.
const sumSalesInterval = 10 * time.Minute

// InsertOpts implements river.JobArgsWithInsertOpts. The next period's job is the next attempt: during
// an update, one may be fetched by a process of a version that does not know this kind.
func (sumSales) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByPeriod: sumSalesInterval}}
}

// sumSalesWorker runs sumSales.
type sumSalesWorker struct {
	river.WorkerDefaults[sumSales]

	store Store
}

// Timeout implements river.Worker. It allows for the orders of years; what is summed up by then stays.
func (*sumSalesWorker) Timeout(*river.Job[sumSales]) time.Duration { return 10 * time.Minute }

// Work implements river.Worker.
func (w *sumSalesWorker) Work(ctx context.Context, _ *river.Job[sumSales]) error {
	more, err := true, error(nil)
	for more && err == nil {
		more, err = w.store.SumSales(ctx)
	}
	return err
}

// failStuckPictures is the job that fails pictures which no job will scale any more because every
// attempt ended with its process being killed.
type failStuckPictures struct{}

// Kind implements river.JobArgs. Its value is stored with queued jobs and must not change.
func (failStuckPictures) Kind() string { return "give_up_pictures" }

// stuckPicturesInterval is the interval of failStuckPictures.
const stuckPicturesInterval = 5 * time.Minute

// InsertOpts implements river.JobArgsWithInsertOpts.
func (failStuckPictures) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: stuckPicturesInterval}}
}

func failPicturesWithoutJob(ctx context.Context, store Store) error {
	stuck, err := store.StuckPictures(ctx)
	for _, hash := range stuck {
		err = errors.Join(err, store.FailPicture(ctx, hash, scalingFailed))
	}
	return err
}

// daily schedules a job for 03:15 UTC, when traffic is lowest.
type daily struct{}

// Next implements river.PeriodicSchedule.
func (daily) Next(t time.Time) time.Time {
	t = t.UTC()
	next := time.Date(t.Year(), t.Month(), t.Day(), 3, 15, 0, 0, time.UTC)
	if !next.After(t) {
		next = next.AddDate(0, 0, 1)
	}
	return next
}

// orphanAge is the minimum age of an orphaned picture to be deleted. There should be none: a job is
// enqueued for each picture that a product stops showing.
const orphanAge = time.Hour

// cleanUpWorker runs cleanUp.
type cleanUpWorker struct {
	river.WorkerDefaults[cleanUp]

	store Store
	log   *slog.Logger
}

// Timeout implements river.Worker. It allows for deleting the keys of a day.
func (*cleanUpWorker) Timeout(*river.Job[cleanUp]) time.Duration { return 10 * time.Minute }

// Work implements river.Worker.
func (w *cleanUpWorker) Work(ctx context.Context, _ *river.Job[cleanUp]) error {
	keys, err := w.store.DeleteExpiredKeys(ctx)
	orphans, listErr := w.store.OrphanedPictures(ctx, orphanAge)
	err = errors.Join(err, listErr)
	for _, hash := range orphans {
		err = errors.Join(err, w.store.DeletePicture(ctx, hash))
	}
	w.log.InfoContext(ctx, "clean-up finished", "idempotency_keys", keys, "orphaned_pictures", len(orphans))
	return err
}
