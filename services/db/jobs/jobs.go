// Package jobs runs background jobs: scaling pictures and cleaning up. The queue is River, in
// PostgreSQL. A job is enqueued in the transaction of the change it belongs to, so that neither
// exists without the other. Several DB services share the work. A job may run more than once, for
// example if its process is killed at the end, so every job is idempotent.
package jobs

import (
	"context"
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

// Settings configures the jobs.
type Settings struct {
	PictureConcurrency int           `env:"PICTURE_CONCURRENCY" envDefault:"1" min:"1" help:"number of pictures scaled at the same time, each with PICTURE_MEMORY"`
	PictureMemory      int64         `env:"PICTURE_MEMORY" envDefault:"268435456" min:"1048576" help:"bytes of memory that decoding a picture may take; a picture that takes more is rejected"`
	Timeout            time.Duration `env:"JOB_TIMEOUT" envDefault:"30s" min:"1s" help:"timeout for a job; a job whose process was killed is retried after 1.5 times as long"`
}

// Store reads and writes what the jobs are about. Package postgres implements it.
type Store interface {
	UnscaledPicture(ctx context.Context, hash []byte) ([]byte, error)
	FinishPicture(ctx context.Context, hash []byte, s picture.Sizes) error
	FailPicture(ctx context.Context, hash []byte, reason string) error
	DeletePicture(ctx context.Context, hash []byte) error
	OrphanedPictures(ctx context.Context, minAge time.Duration) ([][]byte, error)
	StuckPictures(ctx context.Context) ([][]byte, error)
	DeleteExpiredKeys(ctx context.Context) (int64, error)
	SumSales(ctx context.Context) (more bool, err error)
	WaitingJobs(ctx context.Context) (map[string]int, error)
}

// Runner runs jobs.
type Runner struct {
	client      *river.Client[pgx.Tx]
	stopMetrics func()

	mu      sync.Mutex
	started bool
	stopped bool
}

// New returns a Runner. It runs no jobs before Start.
func New(pool *pgxpool.Pool, store Store, s Settings, metrics prometheus.Registerer, log *slog.Logger) (*Runner, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &scaleWorker{store: store})
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[postgres.DeletePicture]) error {
		return store.DeletePicture(ctx, job.Args.Hash)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[failStuckPictures]) error {
		return failPicturesWithoutJob(ctx, store)
	}))
	river.AddWorker(workers, &sumSalesWorker{store: store})
	river.AddWorker(workers, &cleanUpWorker{store: store, log: log})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Logger: slog.New(warnHandler{log.Handler()}), Workers: workers,
		Queues: map[string]river.QueueConfig{
			river.QueueDefault:    {MaxWorkers: 2},
			postgres.PictureQueue: {MaxWorkers: s.PictureConcurrency},
		},
		JobTimeout: s.Timeout, RescueStuckJobsAfter: s.Timeout * 3 / 2,
		SoftStopTimeout: softStopTimeout,
		// Only the owner of an index may build it again, and the service's role is not.
		ReindexerIndexNames: []string{},
		PeriodicJobs: []*river.PeriodicJob{
			newPeriodicJob(daily{}, cleanUp{}),
			newPeriodicJob(river.PeriodicInterval(stuckPicturesInterval), failStuckPictures{}),
			newPeriodicJob(river.PeriodicInterval(sumSalesInterval), sumSales{}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("create job client: %w", err)
	}
	stopMetrics, err := registerMetrics(client, store, metrics, log)
	if err != nil {
		return nil, err
	}
	return &Runner{client: client, stopMetrics: stopMetrics}, nil
}

// warnHandler drops River's records below the level of warnings, which it writes every few seconds.
type warnHandler struct{ slog.Handler }

// Enabled implements slog.Handler.
func (h warnHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// softStopTimeout is how long running jobs may take when the process stops. After that they are
// cancelled, and another process retries them.
const softStopTimeout = 10 * time.Second

// newPeriodicJob returns a job that is also enqueued when a new leader is elected, because its time
// may have passed without a leader.
func newPeriodicJob(schedule river.PeriodicSchedule, args river.JobArgs) *river.PeriodicJob {
	constructor := func() (river.JobArgs, *river.InsertOpts) { return args, nil }
	return river.NewPeriodicJob(schedule, constructor, &river.PeriodicJobOpts{RunOnStart: true})
}

// Start starts running jobs. It needs the database. Further calls do nothing.
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

// Stop takes no more jobs and waits for the running ones until ctx ends. Another process retries
// the rest.
func (r *Runner) Stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	r.stopped = true
	defer r.stopMetrics()
	if !r.started {
		return nil
	}
	if err := r.client.Stop(ctx); err != nil {
		return fmt.Errorf("stop jobs: %w", err)
	}
	return nil
}
