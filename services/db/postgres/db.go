// Package postgres implements the shop's stores with PostgreSQL. Each exported method is one
// transaction, with its SQL next to it.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	MaxConns         int32           `env:"DB_MAX_CONNS" envDefault:"10" min:"5" help:"maximum number of pooled connections, at least 5: one is for orders, a fifth for jobs, and a fifth for lists and searches; metrics, readiness and the job queue use one more each; orders are batched, so more are rarely faster"`
	MinConns         int32           `env:"DB_MIN_CONNS" envDefault:"2" help:"minimum number of open connections; one more for lists and searches"`
	MaxConnLifetime  time.Duration   `env:"DB_MAX_CONN_LIFETIME" envDefault:"1h" help:"maximum age of a connection"`
	MaxConnIdleTime  time.Duration   `env:"DB_MAX_CONN_IDLE_TIME" envDefault:"10m" help:"idle time after which a connection is closed"`
	HealthCheck      time.Duration   `env:"DB_HEALTH_CHECK_PERIOD" envDefault:"15s" min:"1ms" help:"interval between checks of idle connections"`
	ConnectTimeout   time.Duration   `env:"DB_CONNECT_TIMEOUT" envDefault:"2s" min:"1ms" help:"timeout for opening a connection"`
	StatementTimeout time.Duration   `env:"DB_STATEMENT_TIMEOUT" envDefault:"5s" min:"1ms" help:"timeout for a statement"`
	ListTimeout      time.Duration   `env:"DB_LIST_TIMEOUT" envDefault:"2s" min:"1ms" help:"timeout for a statement that lists or searches"`
	LockTimeout      time.Duration   `env:"DB_LOCK_TIMEOUT" envDefault:"3s" min:"1ms" help:"timeout for waiting for a lock of another transaction"`
}

// DB is a PostgreSQL database. It is safe for concurrent use.
//
// Each kind of work has connections of its own, so that one cannot take those of another, however
// slow it is.
type DB struct {
	pool       *pgxpool.Pool // all but the following
	orders     *pgxpool.Pool // PlaceOrders, which runs one batch at a time
	lists      *pgxpool.Pool // lists and searches
	background *pgxpool.Pool // jobs
	metrics    *pgxpool.Pool
	jobs       enqueuer
	primary    *primary
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
	config.MaxConnLifetime, config.MaxConnIdleTime = s.MaxConnLifetime, s.MaxConnIdleTime
	config.MaxConnLifetimeJitter = s.MaxConnLifetime / 10 // spreads reconnects
	config.HealthCheckPeriod = s.HealthCheck
	config.ConnConfig.ConnectTimeout = s.ConnectTimeout
	config.ConnConfig.DialFunc = newDialer().DialContext
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"

	checkConfig := config.ConnConfig.Copy()
	checkConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // a connection runs too few queries to prepare them
	checkConfig.RuntimeParams["application_name"] = "merchstore-db-check"
	// Each of several hosts gets a share of the time.
	checkConfig.ConnectTimeout = checkTimeout / time.Duration(1+len(config.ConnConfig.Fallbacks))
	config.ConnConfig.OnNotice = markUnreplicated
	config.PrepareConn = clearUnreplicated

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

	db := &DB{
		primary:     &primary{open: map[*connection]struct{}{}, session: session{s.StatementTimeout, s.LockTimeout}},
		checkConfig: checkConfig, writeTimeout: 2 * s.StatementTimeout,
		sales:   semaphore.NewWeighted(1),
		changed: func(context.Context, []int32, []int32) {},
	}
	if err := db.openPools(ctx, s, config); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// openPools divides the connections among the kinds of work.
func (db *DB) openPools(ctx context.Context, s Settings, config *pgxpool.Config) (err error) {
	open := func(name string, work session, minConns, maxConns int32) *pgxpool.Pool {
		c := config.Copy()
		c.ConnConfig.RuntimeParams["application_name"] = "merchstore-db" + name
		c.MaxConns, c.MinConns = maxConns, min(minConns, maxConns)
		c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			db.primary.instrument(c, work)
			return reloadAuthority(c)
		}
		pool, openErr := pgxpool.NewWithConfig(ctx, c)
		if openErr != nil {
			err = errors.Join(err, openErr)
		} else {
			db.primary.addPool(pool)
		}
		return pool
	}
	standard, listing := db.primary.session, session{s.ListTimeout, s.LockTimeout}
	fifth := max(1, s.MaxConns/5) // with more for lists, searches slow down orders on the same cores
	general := s.MaxConns - 1 - 2*fifth
	db.pool = open("", standard, s.MinConns, general)
	db.orders = open("-orders", standard, s.MinConns, 1)
	db.lists = open("-lists", listing, min(s.MinConns, 1), fifth)
	db.background = open("-jobs", standard, 0, fifth)
	config.ConnConfig.Tracer = nil // metrics are not measured, so that an idle store looks idle
	db.metrics = open("-metrics", session{scrapeTimeout, scrapeTimeout / 10}, 0, 1)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	db.writes = semaphore.NewWeighted(max(1, int64(general)/2))
	if db.jobs, err = river.NewClient(riverpgxv5.New(db.pool), &river.Config{}); err != nil { // enqueues only
		return fmt.Errorf("create the job queue client: %w", err)
	}
	return nil
}

// session holds the settings of a connection. They are set after connecting, because poolers reject
// most parameters of a start-up message.
type session struct {
	statementTimeout, lockTimeout time.Duration
}

// sql sets the session up. By default the planner plans "id = ANY($1)" again for every short list,
// which takes longer than running it; no statement here has a plan that depends on its parameters.
// Compiling a statement takes longer than running it, too: a generic plan does not know its LIMIT.
// A plan may be made when a table has no rows yet, and is kept until PostgreSQL has analysed the
// table, by when it may have very many: so there are no sequential scans.
func (s session) sql() string {
	return fmt.Sprintf(`SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off;
		SET statement_timeout = %d; SET lock_timeout = %d; SET idle_in_transaction_session_timeout = %d;`,
		s.statementTimeout.Milliseconds(), s.lockTimeout.Milliseconds(), 2*s.statementTimeout.Milliseconds())
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

// Pool returns the pool for the job queue.
func (db *DB) Pool() *pgxpool.Pool { return db.background }

// Close waits for the connections in use and closes all connections.
func (db *DB) Close() {
	for _, pool := range db.primary.pools {
		pool.Close()
	}
}
