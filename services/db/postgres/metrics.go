package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// RegisterMetrics shows how the pool is used, and, asked for with each scrape, how the server fares and what is on the shelf.
func (db *DB) RegisterMetrics(r prometheus.Registerer) {
	r.MustRegister(sampled{"server", db.serverSamples}, sampled{"shelf", db.shelfSamples})
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
	counter("waits_total", "Times that a connection was waited for, and had.", func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) })
	counter("wait_seconds_total", "Time of those waits.", func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() })
	counter("waits_given_up_total", "Times that a connection was waited for in vain.", func(s *pgxpool.Stat) float64 { return float64(s.CanceledAcquireCount()) })
}

// sampleTimeout bounds how long a scrape waits for the database.
const sampleTimeout = time.Second

// openSamples gives metrics a connection of their own: when all others are in use, or wait for a lock, what the server is busy with must
// still be seen. What they ask is not measured, or a quiet store would seem busy.
func openSamples(ctx context.Context, c *pgxpool.Config) (*pgxpool.Pool, error) {
	c = c.Copy()
	c.MaxConns, c.MinConns = 1, 0
	c.ConnConfig.Tracer = nil
	c.ConnConfig.RuntimeParams["lock_timeout"] = milliseconds(sampleTimeout / 10)
	c.ConnConfig.RuntimeParams["application_name"] = "merchstore-db-metrics"
	c.ConnConfig.RuntimeParams["statement_timeout"] = milliseconds(sampleTimeout)
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open database for metrics: %w", err)
	}
	return pool, nil
}

// sampled asks the database with each scrape. It has no samples when the database does not answer: old ones would look like new.
type sampled struct {
	of      string
	samples func(ctx context.Context) ([]prometheus.Metric, error)
}

// Describe implements prometheus.Collector: without descriptions, what is collected is not known before.
func (s sampled) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s sampled) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), sampleTimeout)
	defer cancel()
	samples, err := s.samples(ctx)
	up := 1.0
	if err != nil {
		samples, up = nil, 0
	}
	samples = append(samples, sample(prometheus.GaugeValue, up, "merchstore_db_samples_up",
		"1 if the database has answered what is asked with each scrape, else 0, and what was asked for is missing.", "of", s.of))
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

// shelfSamples names only products of the store itself and of its admins, the first hundred: anybody may add products, again and again.
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
		return sample(prometheus.GaugeValue, pieces, "merchstore_product_stock", "Pieces on the shelf, for products of the store itself and its admins.",
			"product_id", id), err
	}, `SELECT p.id::text, p.stock::float8 FROM products p LEFT JOIN users u ON u.id = p.owner_id
		WHERE p.deleted_at IS NULL AND (p.owner_id IS NULL OR u.role = 'admin') ORDER BY p.id LIMIT 100`)
	return append(samples, stock...), err
}

// serverSamples are of the server and this database as a whole, whoever uses them. Only those who may read all statistics see how long the
// transactions of others last; the rest everybody sees.
func (db *DB) serverSamples(ctx context.Context) ([]prometheus.Metric, error) {
	var connections, limit, waiters, longest, committed, rolledBack, deadlocks, size float64
	err := db.samples.QueryRow(ctx, `
		SELECT (SELECT sum(numbackends) FROM pg_stat_database)::float8, current_setting('max_connections')::float8,
			(SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted)::float8,
			coalesce((SELECT extract(epoch FROM clock_timestamp() - min(xact_start)) FROM pg_stat_activity
				WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), 0)::float8,
			xact_commit::float8, xact_rollback::float8, deadlocks::float8, pg_database_size(datid)::float8
		FROM pg_stat_database WHERE datname = current_database()`,
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
