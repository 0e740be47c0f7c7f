// Package postgres implements the shop's stores with PostgreSQL. Each exported method is one
// transaction, with its SQL next to it.
package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"golang.org/x/sync/semaphore"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/internal/tracing"
)

// Settings configures the connections to the database.
type Settings struct {
	URL              settings.Secret `env:"DATABASE_URL,required" help:"postgres://user:password@host:5432/database"`
	MaxConns         int32           `env:"DB_MAX_CONNS" envDefault:"10" help:"maximum number of pooled connections; metrics, readiness and the job queue use one more each; orders are batched over one, so more are rarely faster"`
	MinConns         int32           `env:"DB_MIN_CONNS" envDefault:"2" help:"minimum number of open connections"`
	MaxConnLifetime  time.Duration   `env:"DB_MAX_CONN_LIFETIME" envDefault:"1h" help:"maximum age of a connection"`
	MaxConnIdleTime  time.Duration   `env:"DB_MAX_CONN_IDLE_TIME" envDefault:"10m" help:"idle time after which a connection is closed"`
	HealthCheck      time.Duration   `env:"DB_HEALTH_CHECK_PERIOD" envDefault:"15s" help:"interval between checks of idle connections"`
	ConnectTimeout   time.Duration   `env:"DB_CONNECT_TIMEOUT" envDefault:"3s" help:"timeout for opening a connection"`
	StatementTimeout time.Duration   `env:"DB_STATEMENT_TIMEOUT" envDefault:"5s" help:"timeout for a statement"`
	LockTimeout      time.Duration   `env:"DB_LOCK_TIMEOUT" envDefault:"3s" help:"timeout for waiting for a lock of another transaction"`
}

// DB is a PostgreSQL database. It is safe for concurrent use.
type DB struct {
	pool    *pgxpool.Pool
	jobs    enqueuer
	metrics *pgxpool.Pool // a single connection
	primary *primary
	// checkConfig configures the connections of CheckPrimary.
	checkConfig *pgx.ConnConfig
	// writes bounds the connections that writes use at the same time. While a standby is
	// unavailable each write waits until its timeout, and reads continue on the other connections.
	writes       *semaphore.Weighted
	writeTimeout time.Duration
	// sales is held while orders are summed up, one call at a time, as each may read many.
	sales *semaphore.Weighted
	// changed is called with the ids of the accounts and products that a commit, or an attempt to
	// commit, has affected.
	changed func(ctx context.Context, users, products []int32)
}

// checkTimeout is the timeout for the connection of a readiness check.
const checkTimeout = 1500 * time.Millisecond

// Open creates a pool of connections. It succeeds even if the database is unavailable.
func Open(ctx context.Context, s Settings, calls prometheus.Registerer, traces *tracing.Tracing) (*DB, error) {
	config, err := pgxpool.ParseConfig(string(s.URL))
	if err != nil {
		return nil, fmt.Errorf("parse DATABASE_URL: %w", err)
	}
	config.MaxConns, config.MinConns = s.MaxConns, s.MinConns
	config.MaxConnLifetime, config.MaxConnIdleTime = s.MaxConnLifetime, s.MaxConnIdleTime
	config.MaxConnLifetimeJitter = s.MaxConnLifetime / 10 // spreads reconnects
	config.HealthCheckPeriod = s.HealthCheck
	config.ConnConfig.ConnectTimeout = s.ConnectTimeout
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "merchstore-db"
	params["timezone"] = "UTC"
	// By default the planner plans "id = ANY($1)" again for every short list, which takes longer
	// than running it. No statement here has a plan that depends on its parameters.
	params["plan_cache_mode"] = "force_generic_plan"
	// A plan is made when the first group of orders runs, when a table may have no rows yet, and kept
	// until PostgreSQL has analysed the table, by when it may have very many.
	params["enable_seqscan"] = "off"
	params["statement_timeout"] = milliseconds(s.StatementTimeout)
	params["lock_timeout"] = milliseconds(s.LockTimeout)
	params["idle_in_transaction_session_timeout"] = milliseconds(2 * s.StatementTimeout)

	primary := &primary{open: map[*connection]struct{}{}}
	checkConfig := config.ConnConfig.Copy()
	checkConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // a connection runs too few queries to prepare them
	checkConfig.RuntimeParams["application_name"] = "merchstore-db-check"
	// Each of several hosts gets a share of the time.
	checkConfig.ConnectTimeout = checkTimeout / time.Duration(1+len(config.ConnConfig.Fallbacks))
	config.ConnConfig.OnNotice = markUnreplicated
	config.PrepareConn = clearUnreplicated
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		primary.instrument(c)
		return nil
	}

	var tracers []pgx.QueryTracer
	if calls != nil {
		tracers = append(tracers, newQueryMetrics(calls))
	}
	if traces.On() {
		tracers = append(tracers, newTracer(traces, config.ConnConfig))
	}
	if len(tracers) > 0 {
		config.ConnConfig.Tracer = multitracer.New(tracers...)
	}

	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	metrics, err := openMetricsPool(ctx, config)
	if err != nil {
		pool.Close()
		return nil, err
	}
	jobs, err := river.NewClient(riverpgxv5.New(pool), &river.Config{}) // enqueues only
	if err != nil {
		pool.Close()
		metrics.Close()
		return nil, fmt.Errorf("create the job queue client: %w", err)
	}
	primary.setPools(pool, metrics)
	return &DB{
		pool: pool, metrics: metrics, jobs: jobs, primary: primary, checkConfig: checkConfig,
		writes: semaphore.NewWeighted(max(1, int64(s.MaxConns)/2)), writeTimeout: 2 * s.StatementTimeout,
		sales:   semaphore.NewWeighted(1),
		changed: func(context.Context, []int32, []int32) {},
	}, nil
}

// OnChange calls f with the ids of changed accounts and products after each commit and before its
// caller gets an answer, also if it is unknown whether the commit succeeded. OnChange must be
// called before the database is used.
func (db *DB) OnChange(f func(ctx context.Context, users, products []int32)) { db.changed = f }

// changedProducts ignores the id 0 of a product that was not created.
func (db *DB) changedProducts(ctx context.Context, ids ...int32) {
	if ids = slices.DeleteFunc(ids, func(id int32) bool { return id == 0 }); len(ids) > 0 {
		db.changed(ctx, nil, ids)
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Pool returns the pool for the job queue.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Close waits for the connections in use and closes all connections.
func (db *DB) Close() {
	db.pool.Close()
	db.metrics.Close()
}
