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
		err = errors.Join(err, w.store.FailPicture(ctx, job.Args.Hash, givenUp))
	}
	return err
}

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

// cleanUp is what is done every night.
type cleanUp struct{}

// Kind implements river.JobArgs.
func (cleanUp) Kind() string { return "clean_up" }

// InsertOpts implements river.JobArgsWithInsertOpts: once a day, however many processes start.
func (cleanUp) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: 24 * time.Hour}}
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
	// stuckAfter is how long making the sizes may take with all attempts; what is left then was given up by a process that was killed.
	stuckAfter = 24 * time.Hour
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
	if err != nil {
		return err
	}
	orphans, err := w.store.OrphanedPictures(ctx, unusedFor)
	if err != nil {
		return err
	}
	for _, hash := range orphans {
		if err := w.store.ForgetPicture(ctx, hash); err != nil {
			return err
		}
	}
	stuck, err := w.store.StuckPictures(ctx, stuckAfter)
	if err != nil {
		return err
	}
	for _, hash := range stuck {
		if err := w.store.FailPicture(ctx, hash, givenUp); err != nil {
			return err
		}
	}
	w.log.InfoContext(ctx, "cleaned up", "idempotency_keys", keys, "orphaned_pictures", len(orphans), "stuck_pictures", len(stuck))
	return nil
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
