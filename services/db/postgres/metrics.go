package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// RegisterMetrics shows what statements take, how the pool is used, and, asked for with each scrape, what is on the shelf and how the
// server fares.
func (db *DB) RegisterMetrics(r prometheus.Registerer) {
	r.MustRegister(db.queries.duration, db.queries.failures, sampled{db.shelfSamples}, sampled{db.serverSamples})
	gauge := func(name, help string, value func(s *pgxpool.Stat) float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "merchstore_db_pool_" + name, Help: help},
			func() float64 { return value(db.pool.Stat()) }))
	}
	counter := func(name, help string, value func(s *pgxpool.Stat) float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "merchstore_db_pool_" + name, Help: help},
			func() float64 { return value(db.pool.Stat()) }))
	}
	gauge("connections", "Connections open.", func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) })
	gauge("connections_in_use", "Connections in use.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) })
	gauge("connections_max", "Connections at most.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) })
	counter("acquires_total", "Connections taken from the pool.", func(s *pgxpool.Stat) float64 { return float64(s.AcquireCount()) })
	counter("waits_total", "Times that a connection had to be waited for.", func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) })
	counter("wait_seconds_total", "Time spent waiting for connections.", func(s *pgxpool.Stat) float64 { return s.AcquireDuration().Seconds() })
}

// sampleTimeout bounds how long a scrape waits for the database.
const sampleTimeout = time.Second

// openSamples gives metrics a connection of their own: when all others are in use, what the server is busy with must still be seen.
func openSamples(ctx context.Context, c *pgxpool.Config) (*pgxpool.Pool, error) {
	c = c.Copy()
	c.MaxConns, c.MinConns = 1, 0
	c.ConnConfig.RuntimeParams["application_name"] = "merchstore-db-metrics"
	c.ConnConfig.RuntimeParams["statement_timeout"] = milliseconds(sampleTimeout)
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open database for metrics: %w", err)
	}
	return pool, nil
}

// sampled asks the database with each scrape. It has no samples while the database is away: old ones would look like new.
type sampled struct {
	samples func(ctx context.Context) ([]prometheus.Metric, error)
}

// Describe implements prometheus.Collector: without descriptions, what is collected is not known before.
func (s sampled) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s sampled) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), sampleTimeout)
	defer cancel()
	samples, err := s.samples(ctx)
	if err != nil {
		return
	}
	for _, m := range samples {
		metrics <- m
	}
}

func sample(kind prometheus.ValueType, value float64, name, help string, label ...string) prometheus.Metric {
	var names, values []string
	if len(label) == 2 {
		names, values = label[:1], label[1:]
	}
	return prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
}

// shelfSamples names no product that is not among the first hundred: anybody may add products.
func (db *DB) shelfSamples(ctx context.Context) ([]prometheus.Metric, error) {
	var all, oversold int64
	err := db.samples.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE stock < 0) FROM products WHERE deleted_at IS NULL`).Scan(&all, &oversold)
	if err != nil {
		return nil, wrap(err, "count products")
	}
	samples := []prometheus.Metric{
		sample(prometheus.GaugeValue, float64(all), "merchstore_products", "Products on the shelf, in the whole store."),
		sample(prometheus.GaugeValue, float64(oversold), "merchstore_products_oversold",
			"Products with less than nothing on the shelf, in the whole store: 0, or an invariant is broken."),
	}
	stock, err := collect(ctx, db.samples, "read the stock", func(row pgx.CollectableRow) (prometheus.Metric, error) {
		var id string
		var pieces float64
		err := row.Scan(&id, &pieces)
		return sample(prometheus.GaugeValue, pieces, "merchstore_product_stock", "Pieces on the shelf, for the products with the smallest ids.",
			"product_id", id), err
	}, `SELECT id::text, stock::float8 FROM products WHERE deleted_at IS NULL ORDER BY id LIMIT 100`)
	return append(samples, stock...), err
}

// serverSamples are of the server and this database as a whole, whoever uses them.
func (db *DB) serverSamples(ctx context.Context) ([]prometheus.Metric, error) {
	var connections, limit, waiters, longest, committed, rolledBack, deadlocks, size float64
	err := db.samples.QueryRow(ctx, `
		SELECT a.connections, current_setting('max_connections')::float8, a.waiters, a.longest,
			d.xact_commit::float8, d.xact_rollback::float8, d.deadlocks::float8, pg_database_size(d.datid)::float8
		FROM pg_stat_database d, (
			SELECT count(*)::float8 AS connections, (count(*) FILTER (WHERE wait_event_type = 'Lock'))::float8 AS waiters,
				coalesce(extract(epoch FROM clock_timestamp() - min(xact_start) FILTER (WHERE pid <> pg_backend_pid())), 0)::float8 AS longest
			FROM pg_stat_activity WHERE backend_type = 'client backend'
		) a WHERE d.datname = current_database()`,
	).Scan(&connections, &limit, &waiters, &longest, &committed, &rolledBack, &deadlocks, &size)
	if err != nil {
		return nil, wrap(err, "ask the server how it fares")
	}
	const transactions, ended = "merchstore_postgresql_transactions_total", "Transactions of the store's database, by how they ended."
	return []prometheus.Metric{
		sample(prometheus.GaugeValue, connections, "merchstore_postgresql_connections", "Connections of everybody to the server."),
		sample(prometheus.GaugeValue, limit, "merchstore_postgresql_connections_max", "Connections that the server takes."),
		sample(prometheus.GaugeValue, waiters, "merchstore_postgresql_lock_waiters", "Connections that wait for a lock."),
		sample(prometheus.GaugeValue, longest, "merchstore_postgresql_longest_transaction_seconds", "Age of the oldest open transaction."),
		sample(prometheus.CounterValue, committed, transactions, ended, "result", "committed"),
		sample(prometheus.CounterValue, rolledBack, transactions, ended, "result", "rolled_back"),
		sample(prometheus.CounterValue, deadlocks, "merchstore_postgresql_deadlocks_total", "Deadlocks in the store's database."),
		sample(prometheus.GaugeValue, size, "merchstore_postgresql_size_bytes", "The store's database on disk."),
	}, nil
}
