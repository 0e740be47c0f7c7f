package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// RegisterMetrics registers metrics of the pools, and metrics of the server and the products that
// are queried with each scrape.
func (db *DB) RegisterMetrics(r prometheus.Registerer) {
	r.MustRegister(queryCollector{"server", db.serverMetrics}, queryCollector{"products", db.productMetrics})
	for name, pool := range map[string]*pgxpool.Pool{"general": db.pool, "orders": db.orders, "lists": db.lists, "jobs": db.background} {
		registerPool(prometheus.WrapRegistererWith(prometheus.Labels{"pool": name}, r), pool)
	}
}

func registerPool(r prometheus.Registerer, pool *pgxpool.Pool) {
	gauge := func(name, help string, value func(s *pgxpool.Stat) float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "merchstore_db_pool_" + name, Help: help},
			func() float64 { return value(pool.Stat()) }))
	}
	counter := func(name, help string, value func(s *pgxpool.Stat) float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "merchstore_db_pool_" + name, Help: help},
			func() float64 { return value(pool.Stat()) }))
	}
	gauge("connections", "Open connections.",
		func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) })
	gauge("connections_in_use", "Connections in use.",
		func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) })
	gauge("connections_max", "Maximum number of connections.",
		func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) })
	counter("acquires_total", "Connections acquired from the pool.",
		func(s *pgxpool.Stat) float64 { return float64(s.AcquireCount()) })
	counter("waits_total", "Acquires that waited for a connection and got one.",
		func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) })
	counter("wait_seconds_total", "Total duration of those waits.",
		func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() })
	counter("waits_given_up_total", "Acquires that were cancelled while waiting for a connection.",
		func(s *pgxpool.Stat) float64 { return float64(s.CanceledAcquireCount()) })
}

// scrapeTimeout bounds how long a scrape waits for the database.
const scrapeTimeout = time.Second

// queryCollector queries the database with each scrape. If the query fails it collects nothing,
// because stale values would look like current ones.
type queryCollector struct {
	of    string
	query func(ctx context.Context) ([]prometheus.Metric, error)
}

// Describe implements prometheus.Collector. It describes nothing, which makes the collector an
// unchecked one.
func (c queryCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c queryCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	metrics, err := c.query(ctx)
	up := 1.0
	if err != nil {
		metrics, up = nil, 0
	}
	metrics = append(metrics, newMetric(prometheus.GaugeValue, up, "merchstore_db_samples_up",
		"1 if the query of the latest scrape succeeded, else 0; its metrics are missing then.", "of", c.of))
	for _, m := range metrics {
		out <- m
	}
}

func newMetric(kind prometheus.ValueType, value float64, name, help string, label ...string) prometheus.Metric {
	var names, values []string
	if len(label) == 2 {
		names, values = label[:1], label[1:]
	}
	return prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
}

// productMetrics returns metrics of the catalogue. It labels at most 100 products, and only those
// of the store itself and its admins: any user may add products, so their number is not bounded.
func (db *DB) productMetrics(ctx context.Context) ([]prometheus.Metric, error) {
	var all, oversold int64
	var checked bool
	err := db.metrics.QueryRow(ctx, `SELECT coalesce(sum(products), 0), EXISTS (SELECT FROM pg_constraint
		WHERE conrelid = 'products'::regclass AND conname = 'products_stock_check' AND convalidated) FROM categories`).Scan(&all, &checked)
	if err == nil && !checked { // otherwise no stock can be negative, and there is no need to look
		err = db.metrics.QueryRow(ctx, `SELECT count(*) FROM products WHERE stock < 0 AND deleted_at IS NULL`).Scan(&oversold)
	}
	if err != nil {
		return nil, wrap(err, "count products")
	}
	metrics := []prometheus.Metric{
		newMetric(prometheus.GaugeValue, float64(all), "merchstore_products", "Products of the whole store."),
		newMetric(prometheus.GaugeValue, float64(oversold), "merchstore_products_oversold",
			"Products with negative stock in the whole store. Not 0 means a broken invariant."),
	}
	stock, err := collect(ctx, db.metrics, "read stock", func(row pgx.CollectableRow) (prometheus.Metric, error) {
		var id string
		var units float64
		err := row.Scan(&id, &units)
		return newMetric(prometheus.GaugeValue, units, "merchstore_product_stock",
			"Units in stock, for products of the store itself and its admins.", "product_id", id), err
	}, `SELECT id::text, stock::float8 FROM (
			(SELECT id, stock FROM products WHERE owner_id IS NULL AND deleted_at IS NULL ORDER BY owner_id, id LIMIT 100)
			UNION ALL
			SELECT p.id, p.stock FROM (SELECT id FROM users WHERE role = 'admin' ORDER BY id LIMIT 100) AS admin,
				LATERAL (SELECT id, stock FROM products WHERE owner_id = admin.id AND deleted_at IS NULL ORDER BY id LIMIT 100) AS p
		) AS labelled ORDER BY labelled.id LIMIT 100`)
	return append(metrics, stock...), err
}

// serverMetrics returns metrics of the server and the database, for all of their clients. The
// longest transaction includes those of other roles only if this role may read all statistics.
func (db *DB) serverMetrics(ctx context.Context) ([]prometheus.Metric, error) {
	var connections, limit, waiters, longest, committed, rolledBack, deadlocks, size float64
	err := db.metrics.QueryRow(ctx, `
		SELECT (SELECT sum(numbackends) FROM pg_stat_database)::float8, current_setting('max_connections')::float8,
			(SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted)::float8,
			coalesce((SELECT extract(epoch FROM clock_timestamp() - min(xact_start)) FROM pg_stat_activity
				WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), 0)::float8,
			xact_commit::float8, xact_rollback::float8, deadlocks::float8, pg_database_size(datid)::float8
		FROM pg_stat_database WHERE datname = current_database()`,
	).Scan(&connections, &limit, &waiters, &longest, &committed, &rolledBack, &deadlocks, &size)
	if err != nil {
		return nil, wrap(err, "read server statistics")
	}
	gauge := func(value float64, name, help string) prometheus.Metric {
		return newMetric(prometheus.GaugeValue, value, "merchstore_postgresql_"+name, help)
	}
	counter := func(value float64, name, help string, label ...string) prometheus.Metric {
		return newMetric(prometheus.CounterValue, value, "merchstore_postgresql_"+name, help, label...)
	}
	const transactions, transactionsHelp = "transactions_total", "Transactions of the store's database by result."
	return []prometheus.Metric{
		gauge(connections, "connections", "Connections of all clients to the server."),
		gauge(limit, "connections_max", "Maximum number of connections to the server."),
		gauge(waiters, "lock_waiters", "Connections that wait for a lock."),
		gauge(longest, "longest_transaction_seconds", "Age of the oldest open transaction."),
		counter(committed, transactions, transactionsHelp, "result", "committed"),
		counter(rolledBack, transactions, transactionsHelp, "result", "rolled_back"),
		counter(deadlocks, "deadlocks_total", "Deadlocks in the store's database."),
		gauge(size, "size_bytes", "Size of the store's database on disk."),
	}, nil
}
