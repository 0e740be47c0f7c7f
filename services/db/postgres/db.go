// Package postgres keeps the shop's things in PostgreSQL. Each exported method is one transaction; the SQL stands beside
// the method that runs it.
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

// Settings say which database, and how many connections to it.
type Settings struct {
	URL              settings.Secret `env:"DATABASE_URL,required" help:"postgres://user:password@host:5432/database"`
	MaxConns         int32           `env:"DB_MAX_CONNS" envDefault:"10" help:"connections at most, and one each for metrics, readiness and the job queue; orders go in groups over one, so more is seldom quicker"`
	MinConns         int32           `env:"DB_MIN_CONNS" envDefault:"2" help:"connections kept open"`
	MaxConnLifetime  time.Duration   `env:"DB_MAX_CONN_LIFETIME" envDefault:"1h" help:"a connection is replaced after this"`
	MaxConnIdleTime  time.Duration   `env:"DB_MAX_CONN_IDLE_TIME" envDefault:"10m" help:"a connection unused for this long is closed"`
	HealthCheck      time.Duration   `env:"DB_HEALTH_CHECK_PERIOD" envDefault:"15s" help:"how often idle connections are looked after"`
	ConnectTimeout   time.Duration   `env:"DB_CONNECT_TIMEOUT" envDefault:"3s" help:"time to get a new connection"`
	StatementTimeout time.Duration   `env:"DB_STATEMENT_TIMEOUT" envDefault:"5s" help:"time for one statement"`
	LockTimeout      time.Duration   `env:"DB_LOCK_TIMEOUT" envDefault:"3s" help:"time to wait for a row that another transaction holds"`
}

// DB is a database. It is safe for concurrent use.
type DB struct {
	pool    *pgxpool.Pool
	jobs    enqueuer
	samples *pgxpool.Pool // one connection, for metrics
	primary *primary
	// checkConfig is for the fresh connections of CheckPrimary.
	checkConfig *pgx.ConnConfig
	// writes bounds the connections that writes use at the same time: while a standby is away, each waits
	// until its time is over, and reads go on with the others.
	writes       *semaphore.Weighted
	writeTimeout time.Duration
	// changed is told after each commit, and each attempt at one, which accounts and products it was about.
	changed func(ctx context.Context, users, products []int32)
}

// checkTimeout is the time for a fresh connection of a readiness check.
const checkTimeout = 1500 * time.Millisecond

// Open prepares a pool of connections. It succeeds also when the database is away: it may come.
func Open(ctx context.Context, s Settings, calls prometheus.Registerer, traces *tracing.Tracing) (*DB, error) {
	config, err := pgxpool.ParseConfig(string(s.URL))
	if err != nil {
		return nil, fmt.Errorf("read DATABASE_URL: %w", err)
	}
	config.MaxConns, config.MinConns = s.MaxConns, s.MinConns
	config.MaxConnLifetime, config.MaxConnIdleTime = s.MaxConnLifetime, s.MaxConnIdleTime
	config.MaxConnLifetimeJitter = s.MaxConnLifetime / 10 // not all at once
	config.HealthCheckPeriod = s.HealthCheck
	config.ConnConfig.ConnectTimeout = s.ConnectTimeout
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "merchstore-db"
	params["timezone"] = "UTC"
	// Left to itself, the planner plans "id = ANY($1)" anew for every short list, which takes longer than running it. No
	// statement here has a plan that depends on its parameters' values.
	params["plan_cache_mode"] = "force_generic_plan"
	params["statement_timeout"] = milliseconds(s.StatementTimeout)
	params["lock_timeout"] = milliseconds(s.LockTimeout)
	params["idle_in_transaction_session_timeout"] = milliseconds(2 * s.StatementTimeout)

	primary := &primary{open: map[*connection]struct{}{}}
	checkConfig := config.ConnConfig.Copy()
	checkConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // each is used for a query or two
	checkConfig.RuntimeParams["application_name"] = "merchstore-db-check"
	checkConfig.ConnectTimeout = checkTimeout / time.Duration(1+len(config.ConnConfig.Fallbacks)) // of several hosts each has a chance
	config.ConnConfig.OnNotice = markUnreplicated
	config.PrepareConn = forgetUnreplicated
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		primary.instrument(c)
		return nil
	}

	var tracers []pgx.QueryTracer
	if calls != nil {
		tracers = append(tracers, newQueryMetrics(calls))
	}
	if traces.On() {
		tracers = append(tracers, spans(traces, config.ConnConfig))
	}
	if len(tracers) > 0 {
		config.ConnConfig.Tracer = multitracer.New(tracers...)
	}

	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	samples, err := openSamples(ctx, config)
	if err != nil {
		pool.Close()
		return nil, err
	}
	jobs, err := river.NewClient(riverpgxv5.New(pool), &river.Config{}) // which adds jobs and does none
	if err != nil {
		pool.Close()
		samples.Close()
		return nil, fmt.Errorf("prepare the job queue: %w", err)
	}
	primary.setPools(pool, samples)
	return &DB{
		pool: pool, samples: samples, jobs: jobs, primary: primary, checkConfig: checkConfig,
		writes: semaphore.NewWeighted(max(1, int64(s.MaxConns)/2)), writeTimeout: 2 * s.StatementTimeout,
		changed: func(context.Context, []int32, []int32) {},
	}, nil
}

// OnChange has f told after each commit, before its caller is answered, which accounts and products were changed; also if it is not
// known whether the commit succeeded. It is to be called before the database is used.
func (db *DB) OnChange(f func(ctx context.Context, users, products []int32)) { db.changed = f }

// changedProducts leaves out 0, which is of what was not made.
func (db *DB) changedProducts(ctx context.Context, ids ...int32) {
	if ids = slices.DeleteFunc(ids, func(id int32) bool { return id == 0 }); len(ids) > 0 {
		db.changed(ctx, nil, ids)
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Pool returns the connections, for what is not about the shop: jobs.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Close waits for the connections in use and closes all.
func (db *DB) Close() {
	db.pool.Close()
	db.samples.Close()
}
