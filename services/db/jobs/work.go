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

// givenUp is told to owners of pictures that are not to blame.
const givenUp = "could not be scaled; upload it again"

// scaler makes the sizes of pictures.
type scaler struct {
	river.WorkerDefaults[postgres.ScalePicture]

	store Store
}

// Work implements river.Worker.
func (w *scaler) Work(ctx context.Context, job *river.Job[postgres.ScalePicture]) error {
	err := w.scale(ctx, job.Args.Hash)
	if err != nil && job.Attempt == job.MaxAttempts {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords) // the job's own time may be what is over
		defer cancel()
		err = errors.Join(err, w.store.FailPicture(ctx, job.Args.Hash, givenUp))
	}
	return err
}

// lastWords is the time to say that a picture is given up.
const lastWords = 5 * time.Second

func (w *scaler) scale(ctx context.Context, hash []byte) error {
	original, err := w.store.UnscaledPicture(ctx, hash)
	if err != nil || original == nil {
		return err
	}
	// What one picture has taken is given back before the next takes as much: the collector alone would come too late, and the kernel end
	// the process.
	defer debug.FreeOSMemory()
	sizes, err := picture.Scale(original)
	if bad := new(picture.BadError); errors.As(err, &bad) {
		return w.store.FailPicture(ctx, hash, bad.Reason)
	}
	if err != nil {
		return fmt.Errorf("scale picture: %w", err)
	}
	return w.store.FinishPicture(ctx, hash, sizes)
}

// cleanUp is done once a day.
type cleanUp struct{}

// Kind implements river.JobArgs.
func (cleanUp) Kind() string { return "clean_up" }

// InsertOpts implements river.JobArgsWithInsertOpts: once a day, however many processes start.
func (cleanUp) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: 24 * time.Hour}}
}

// giveUp ends the waiting for pictures that no job will scale any more: their processes were killed each time.
type giveUp struct{}

// Kind implements river.JobArgs.
func (giveUp) Kind() string { return "give_up_pictures" }

// giveUpEvery is how often that is done.
const giveUpEvery = 5 * time.Minute

// InsertOpts implements river.JobArgsWithInsertOpts.
func (giveUp) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: giveUpEvery}}
}

func giveUpPictures(ctx context.Context, store Store) error {
	stuck, err := store.StuckPictures(ctx)
	for _, hash := range stuck {
		err = errors.Join(err, store.FailPicture(ctx, hash, givenUp))
	}
	return err
}

// nightly is at a quarter past three, UTC, with the least traffic.
type nightly struct{}

// Next implements river.PeriodicSchedule.
func (nightly) Next(t time.Time) time.Time {
	t = t.UTC()
	next := time.Date(t.Year(), t.Month(), t.Day(), 3, 15, 0, 0, time.UTC)
	if !next.After(t) {
		next = next.AddDate(0, 0, 1)
	}
	return next
}

const (
	// keysAtOnce are deleted by a statement, which has a few seconds.
	keysAtOnce = 10_000
	// unusedFor is how long a picture that no product shows is kept. None should be there at all: each that a product leaves has a job
	// of its own.
	unusedFor = time.Hour
)

// cleaner deletes what has had its time.
type cleaner struct {
	river.WorkerDefaults[cleanUp]

	store Store
	log   *slog.Logger
}

// Timeout implements river.Worker: a day's keys are many.
func (*cleaner) Timeout(*river.Job[cleanUp]) time.Duration { return 10 * time.Minute }

// Work implements river.Worker.
func (w *cleaner) Work(ctx context.Context, _ *river.Job[cleanUp]) error {
	keys, err := w.forgetKeys(ctx)
	orphans, failed := w.store.OrphanedPictures(ctx, unusedFor)
	err = errors.Join(err, failed)
	for _, hash := range orphans {
		err = errors.Join(err, w.store.ForgetPicture(ctx, hash))
	}
	w.log.InfoContext(ctx, "cleaned up", "idempotency_keys", keys, "orphaned_pictures", len(orphans))
	return err
}

func (w *cleaner) forgetKeys(ctx context.Context) (all int64, err error) {
	for {
		n, err := w.store.ForgetKeys(ctx, keysAtOnce)
		all += n
		if err != nil || n < keysAtOnce {
			return all, err
		}
	}
}
