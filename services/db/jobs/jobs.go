// Package jobs does what the shop has left for later: the sizes of pictures, and cleaning up. The queue is River's, in PostgreSQL. A
// job is enqueued in the transaction of what it is about, so that there is never the one without the other; several DB services share
// the work. A job may be done twice (its process was killed, and had done it), and so each looks first whether there is anything to do.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"merchstore.io/merchstore/services/db/picture"
	"merchstore.io/merchstore/services/db/postgres"
)

// Settings say how much is done at a time.
type Settings struct {
	PictureConcurrency int           `env:"PICTURE_CONCURRENCY" envDefault:"1" help:"number of pictures scaled at the same time, each with PICTURE_MEMORY"`
	PictureMemory      int64         `env:"PICTURE_MEMORY" envDefault:"268435456" help:"what decoding a picture may take in bytes; one that takes more is refused"`
	Timeout            time.Duration `env:"JOB_TIMEOUT" envDefault:"30s" help:"time for a job; one that is still not done after half as long again, because its process was killed, is done by another"`
}

// Validate refuses what would do no job at all.
func (s Settings) Validate() error {
	if s.PictureConcurrency < 1 || s.PictureMemory < 1<<20 || s.Timeout < time.Second {
		return errors.New("PICTURE_CONCURRENCY must be at least 1, PICTURE_MEMORY 1048576 and JOB_TIMEOUT 1s")
	}
	return nil
}

// Store is what jobs are about.
type Store interface {
	UnscaledPicture(ctx context.Context, hash []byte) ([]byte, error)
	FinishPicture(ctx context.Context, hash []byte, s picture.Sizes) error
	FailPicture(ctx context.Context, hash []byte, why string) error
	ForgetPicture(ctx context.Context, hash []byte) error
	OrphanedPictures(ctx context.Context, unusedFor time.Duration) ([][]byte, error)
	StuckPictures(ctx context.Context) ([][]byte, error)
	ForgetKeys(ctx context.Context, limit int) (int64, error)
	WaitingJobs(ctx context.Context) (map[string]int, error)
}

// Runner does jobs.
type Runner struct {
	client    *river.Client[pgx.Tx]
	unobserve func()

	mu      sync.Mutex
	started bool
	stopped bool
}

// New makes a Runner, which does nothing before Start.
func New(pool *pgxpool.Pool, store Store, s Settings, metrics prometheus.Registerer, log *slog.Logger) (*Runner, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &scaler{store: store})
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[postgres.ForgetPicture]) error {
		return store.ForgetPicture(ctx, job.Args.Hash)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[giveUp]) error { return giveUpPictures(ctx, store) }))
	river.AddWorker(workers, &cleaner{store: store, log: log})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Logger: slog.New(quieter{log.Handler()}), Workers: workers,
		Queues: map[string]river.QueueConfig{
			river.QueueDefault:    {MaxWorkers: 2},
			postgres.PictureQueue: {MaxWorkers: s.PictureConcurrency},
		},
		JobTimeout: s.Timeout, RescueStuckJobsAfter: s.Timeout * 3 / 2,
		SoftStopTimeout: softStop,
		PeriodicJobs: []*river.PeriodicJob{
			periodic(nightly{}, cleanUp{}), periodic(river.PeriodicInterval(giveUpEvery), giveUp{}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare jobs: %w", err)
	}
	unobserve, err := observe(client, store, metrics, log)
	if err != nil {
		return nil, err
	}
	return &Runner{client: client, unobserve: unobserve}, nil
}

// quieter leaves out what River tells every few seconds of itself.
type quieter struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

// softStop is how long jobs under way may take when the process stops. Then they are cancelled, and another process does them.
const softStop = 10 * time.Second

// periodic is a job that is also enqueued when a leader takes over, who may have missed its time.
func periodic(schedule river.PeriodicSchedule, args river.JobArgs) *river.PeriodicJob {
	return river.NewPeriodicJob(schedule, func() (river.JobArgs, *river.InsertOpts) { return args, nil }, &river.PeriodicJobOpts{RunOnStart: true})
}

// Start begins to do jobs, once; it needs the database. Calling it again does nothing.
func (r *Runner) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started || r.stopped {
		return nil
	}
	if err := r.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start jobs: %w", err)
	}
	r.started = true
	return nil
}

// Stop takes no more jobs and waits for those under way. What is not done when ctx is will be done by another process.
func (r *Runner) Stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	r.stopped = true
	defer r.unobserve()
	if !r.started {
		return nil
	}
	if err := r.client.Stop(ctx); err != nil {
		return fmt.Errorf("finish jobs: %w", err)
	}
	return nil
}
