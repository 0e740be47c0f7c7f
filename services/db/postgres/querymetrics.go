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

// queryMetrics time every statement and batch. They implement pgx.QueryTracer, pgx.BatchTracer and pgx.ConnectTracer.
type queryMetrics struct {
	duration *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

func newQueryMetrics(r prometheus.Registerer) *queryMetrics {
	m := &queryMetrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "merchstore_db_query_duration_seconds", Help: "Time of a statement, by its verb and table, or of a named batch of them.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}, []string{"query"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "merchstore_db_query_errors_total",
			Help: "Statements and attempts to connect that failed, by SQLSTATE; none when PostgreSQL did not answer.",
		}, []string{"sqlstate"}),
	}
	r.MustRegister(m.duration, m.failures)
	return m
}

type (
	queryName  struct{}
	queryStart struct{}
	started    struct {
		query string
		at    time.Time
	}
)

// named gives a batch the name under which it is measured.
func named(ctx context.Context, query string) context.Context {
	return context.WithValue(ctx, queryName{}, query)
}

// TraceQueryStart implements pgx.QueryTracer.
func (m *queryMetrics) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, queryStart{}, started{nameOf(data.SQL), time.Now()})
}

// TraceQueryEnd implements pgx.QueryTracer.
func (m *queryMetrics) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	m.end(ctx, data.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (m *queryMetrics) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	query, ok := ctx.Value(queryName{}).(string)
	if !ok && len(data.Batch.QueuedQueries) > 0 {
		query = nameOf(data.Batch.QueuedQueries[0].SQL)
	}
	return context.WithValue(ctx, queryStart{}, started{query, time.Now()})
}

// TraceBatchQuery implements pgx.BatchTracer.
func (m *queryMetrics) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (m *queryMetrics) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	m.end(ctx, data.Err)
}

func (m *queryMetrics) end(ctx context.Context, err error) {
	s, ok := ctx.Value(queryStart{}).(started)
	if !ok {
		return
	}
	tracing.Observe(ctx, m.duration.WithLabelValues(s.query), time.Since(s.at).Seconds())
	m.failed(err)
}

// TraceConnectStart implements pgx.ConnectTracer.
func (m *queryMetrics) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return ctx
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (m *queryMetrics) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	m.failed(data.Err)
}

// failed counts a failure that is not its asker's having gone away.
func (m *queryMetrics) failed(err error) {
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
	// sqlcName is how the job queue's library begins its statements.
	sqlcName  = regexp.MustCompile(`^-- name: (\w+)`)
	verb      = regexp.MustCompile(`^\s*(\w+)`)
	tableName = regexp.MustCompile(`(?i)\b(?:from|into|update|join|table)\s+"?([a-z_][a-z0-9_]*)`)
)

// names are those of the statements seen so far. They all stand in the code, ours or the job queue's, so there are not many.
var names sync.Map

func nameOf(sql string) string {
	if name, ok := names.Load(sql); ok {
		return name.(string) //nolint:forcetypeassert // nothing else is put in
	}
	name := newName(sql)
	names.Store(sql, name)
	return name
}

// newName tells statements apart by what stands in our own code, never by values, which are bound.
func newName(sql string) string {
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
