package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"merchstore.io/merchstore/services/db/postgres"
)

// countTimeout bounds how long a scrape waits for the database.
const countTimeout = time.Second

// outcomes are what becomes of an attempt.
var outcomes = map[river.EventKind]string{
	river.EventKindJobCompleted:   "completed",
	river.EventKindJobFailed:      "failed",
	river.EventKindJobInterrupted: "interrupted",
}

func kinds() []string {
	return []string{postgres.ScalePicture{}.Kind(), postgres.ForgetPicture{}.Kind(), cleanUp{}.Kind(), giveUp{}.Kind()}
}

// observe measures the jobs that this process does until it is told to stop, and counts those that wait for any.
func observe(client *river.Client[pgx.Tx], store Store, r prometheus.Registerer, log *slog.Logger) (stop func(), err error) {
	labels := []string{"kind", "outcome"}
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "merchstore_job_attempts_total", Help: "Attempts at jobs by this process: completed, failed (and tried again, unless discarded), discarded, or interrupted.",
	}, labels)
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "merchstore_job_duration_seconds", Help: "Time an attempt at a job took.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
	}, []string{"kind"})
	waited := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "merchstore_job_wait_seconds", Help: "Time a job was ready before an attempt at it began.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 18),
	}, []string{"kind"})
	for _, kind := range kinds() { // so that the first of each is seen as an increase
		for _, outcome := range []string{"completed", "failed", "discarded", "interrupted"} {
			total.WithLabelValues(kind, outcome)
		}
	}
	for _, c := range []prometheus.Collector{total, duration, waited, waiting{store}} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of jobs: %w", err)
		}
	}
	events, stop := client.Subscribe(slices.Collect(maps.Keys(outcomes))...)
	go func() {
		for e := range events {
			outcome := outcomes[e.Kind]
			if e.Job.State == rivertype.JobStateDiscarded {
				outcome = "discarded"
			}
			if e.Kind == river.EventKindJobFailed && len(e.Job.Errors) > 0 {
				log.Warn("a job has failed", "kind", e.Job.Kind, "id", e.Job.ID, "attempt", e.Job.Attempt, "outcome", outcome,
					"error", e.Job.Errors[len(e.Job.Errors)-1].Error)
			}
			total.WithLabelValues(e.Job.Kind, outcome).Inc()
			duration.WithLabelValues(e.Job.Kind).Observe(e.JobStats.RunDuration.Seconds())
			waited.WithLabelValues(e.Job.Kind).Observe(e.JobStats.QueueWaitDuration.Seconds())
		}
	}()
	return stop, nil
}

// waiting asks the database with each scrape. It has no sample while the database is away.
type waiting struct{ store Store }

var waitingDesc = prometheus.NewDesc("merchstore_jobs_waiting", "Jobs that are not done yet, in the whole store.", []string{"kind"}, nil)

// Describe implements prometheus.Collector.
func (waiting) Describe(descs chan<- *prometheus.Desc) { descs <- waitingDesc }

// Collect implements prometheus.Collector.
func (w waiting) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	counts, err := w.store.WaitingJobs(ctx)
	if err != nil {
		return
	}
	for kind, n := range counts {
		metrics <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(n), kind)
	}
}
