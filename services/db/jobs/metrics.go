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

// scrapeTimeout bounds how long a scrape waits for the database.
const scrapeTimeout = time.Second

// outcomes are the values of the label outcome by event.
var outcomes = map[river.EventKind]string{
	river.EventKindJobCompleted:   "completed",
	river.EventKindJobFailed:      "failed",
	river.EventKindJobInterrupted: "interrupted",
}

func kinds() []string {
	return []string{postgres.ScalePicture{}.Kind(), postgres.DeletePicture{}.Kind(), cleanUp{}.Kind(), failStuckPictures{}.Kind(), sumSales{}.Kind()}
}

// registerMetrics measures the jobs of this process until stop is called, and counts the waiting
// jobs of the whole store.
func registerMetrics(
	client *river.Client[pgx.Tx], store Store, r prometheus.Registerer, log *slog.Logger,
) (stop func(), err error) {
	labels := []string{"kind", "outcome"}
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "merchstore_job_attempts_total",
		Help: "Attempts at jobs by this process: completed, failed (to be retried), discarded (out of retries), or interrupted.",
	}, labels)
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "merchstore_job_duration_seconds",
		Help:    "Duration of an attempt at a job.",
		Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
	}, []string{"kind"})
	wait := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "merchstore_job_wait_seconds",
		Help:    "Time between a job becoming ready and the start of an attempt at it.",
		Buckets: prometheus.ExponentialBuckets(0.005, 2, 18),
	}, []string{"kind"})
	for _, kind := range kinds() { // starting at 0, the first of each shows as an increase
		for _, outcome := range []string{"completed", "failed", "discarded", "interrupted"} {
			total.WithLabelValues(kind, outcome)
		}
	}
	for _, c := range []prometheus.Collector{total, duration, wait, waitingJobs{store}} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register job metrics: %w", err)
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
				log.Warn("job failed", "kind", e.Job.Kind, "id", e.Job.ID, "attempt", e.Job.Attempt, "outcome", outcome,
					"error", e.Job.Errors[len(e.Job.Errors)-1].Error)
			}
			total.WithLabelValues(e.Job.Kind, outcome).Inc()
			duration.WithLabelValues(e.Job.Kind).Observe(e.JobStats.RunDuration.Seconds())
			wait.WithLabelValues(e.Job.Kind).Observe(e.JobStats.QueueWaitDuration.Seconds())
		}
	}()
	return stop, nil
}

// waitingJobs queries the database with each scrape. It collects nothing while the database is
// unavailable.
type waitingJobs struct{ store Store }

var waitingJobsDesc = prometheus.NewDesc("merchstore_jobs_waiting", "Unfinished jobs of the whole store.", []string{"kind"}, nil)

// Describe implements prometheus.Collector.
func (waitingJobs) Describe(descs chan<- *prometheus.Desc) { descs <- waitingJobsDesc }

// Collect implements prometheus.Collector.
func (w waitingJobs) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	counts, err := w.store.WaitingJobs(ctx)
	if err != nil {
		return
	}
	for _, kind := range kinds() {
		metrics <- prometheus.MustNewConstMetric(waitingJobsDesc, prometheus.GaugeValue, float64(counts[kind]), kind)
	}
}
