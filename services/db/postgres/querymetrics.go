package postgres

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/tracing"
)

// queryMetrics measures the duration of every statement and batch. It implements pgx.QueryTracer,
// pgx.BatchTracer and pgx.ConnectTracer.
type queryMetrics struct {
	duration *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

func newQueryMetrics(r prometheus.Registerer) *queryMetrics {
	m := &queryMetrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "merchstore_db_query_duration_seconds",
			Help:    "Duration of a statement, by its verb and table, or of a named batch of statements.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}, []string{"query"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_db_query_errors_total",
			Help: "Failed statements and connection attempts, by SQLSTATE; none if PostgreSQL did not answer.",
		}, []string{"sqlstate"}),
	}
	r.MustRegister(m.duration, m.failures)
	return m
}

type (
	queryNameKey struct{}
	queryKey     struct{}
	query        struct {
		name  string
		start time.Time
	}
)

// withQueryName sets the name under which a batch is measured.
func withQueryName(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, queryNameKey{}, name)
}

// TraceQueryStart implements pgx.QueryTracer.
func (m *queryMetrics) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, queryKey{}, query{queryName(data.SQL), time.Now()})
}

// TraceQueryEnd implements pgx.QueryTracer.
func (m *queryMetrics) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	m.end(ctx, data.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (m *queryMetrics) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	name, ok := ctx.Value(queryNameKey{}).(string)
	if !ok && len(data.Batch.QueuedQueries) > 0 {
		name = queryName(data.Batch.QueuedQueries[0].SQL)
	}
	return context.WithValue(ctx, queryKey{}, query{name, time.Now()})
}

// TraceBatchQuery implements pgx.BatchTracer.
func (m *queryMetrics) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (m *queryMetrics) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	m.end(ctx, data.Err)
}

func (m *queryMetrics) end(ctx context.Context, err error) {
	q, ok := ctx.Value(queryKey{}).(query)
	if !ok {
		return
	}
	tracing.Observe(ctx, m.duration.WithLabelValues(q.name), time.Since(q.start).Seconds())
	m.countFailure(err)
}

// TraceConnectStart implements pgx.ConnectTracer.
func (m *queryMetrics) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return ctx
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (m *queryMetrics) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	m.countFailure(data.Err)
}

// countFailure counts err unless the caller cancelled.
func (m *queryMetrics) countFailure(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	state := "none"
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		state = pg.Code
	}
	m.failures.WithLabelValues(state).Inc()
}

var (
	// sqlcName matches the first line of the statements of River, the job queue.
	sqlcName  = regexp.MustCompile(`^-- name: (\w+)`)
	verb      = regexp.MustCompile(`^\s*(\w+)`)
	tableName = regexp.MustCompile(`(?i)\b(?:from|into|update|join|table)\s+"?([a-z_][a-z0-9_]*)`)
)

// queryNames caches the names of statements by their text. All statements are constants in our code
// or River's, so the map stays small.
var queryNames sync.Map

func queryName(sql string) string {
	if name, ok := queryNames.Load(sql); ok {
		return name.(string)
	}
	name := parseQueryName(sql)
	queryNames.Store(sql, name)
	return name
}

// parseQueryName returns the verb and the first table of a statement. Values are bound and so never
// part of the name.
func parseQueryName(sql string) string {
	if name := sqlcName.FindStringSubmatch(sql); name != nil {
		return name[1]
	}
	name := strings.ToLower(strings.TrimSpace(verb.FindString(sql)))
	if table := tableName.FindStringSubmatch(sql); table != nil {
		name += " " + strings.ToLower(table[1])
	}
	if name == "" {
		return "other"
	}
	return name
}
