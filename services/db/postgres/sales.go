package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/db/shop"
)

// maxRevenue limits each sum, in minor units, so that no sum of them overflows.
const maxRevenue = 10_000_000_000_000_000

// A query consists of unsummed, which are the orders since $3 that are not in product_sales yet, a list of
// products, soldItems, a list of items that make up the days' totals, and sold.
const (
	unsummed = `
		WITH unsummed AS MATERIALIZED (
			SELECT i.product_id, store_day(o.created_at) AS day, i.quantity::bigint AS units, i.quantity * i.unit_price AS revenue
			FROM orders o JOIN order_items i ON i.order_id = o.id
			WHERE o.created_at >= greatest($3::timestamptz, $1::timestamptz) AND o.created_at < $2 AND o.status = 'placed'
		), listed (product_id) AS (`
	productsOfOwner = `SELECT id FROM products WHERE owner_id = $6`
	// bestProducts are among the best of a day, or have just been sold. 0 stands for all products.
	bestProducts = `SELECT 0 UNION SELECT product_id FROM unsummed UNION
			SELECT best.product_id FROM generate_series(store_day($1), store_day($2) - 1) AS d (day), LATERAL (
				SELECT product_id FROM product_sales s WHERE s.day = d.day AND product_id <> 0 ORDER BY revenue DESC LIMIT 20) AS best`
	soldItems = `), item AS (
			SELECT product_id, day, units, revenue FROM product_sales JOIN listed USING (product_id)
			WHERE day >= store_day($1) AND day < store_day($2)
			UNION ALL
			SELECT product_id, day, units, revenue FROM unsummed JOIN listed USING (product_id)
		), total AS (`
	itemsOfOwner = `SELECT * FROM item`
	allItems     = `SELECT * FROM item WHERE product_id = 0 UNION ALL SELECT * FROM unsummed`
	sold         = `), sold AS (
			SELECT product_id, day, sum(units) AS units, sum(revenue) * 100 AS revenue
			FROM item WHERE product_id <> 0 GROUP BY 1, 2 HAVING sum(units) > 0
		), best AS (
			SELECT product_id FROM sold GROUP BY product_id ORDER BY sum(revenue) DESC, product_id LIMIT $4
		)
		SELECT 0, '', day - store_day($1), sum(units)::bigint, least(sum(revenue) * 100, $5)::bigint
		FROM total GROUP BY day HAVING sum(units) > 0
		UNION ALL
		SELECT product_id, p.name, day - store_day($1), units::bigint, least(revenue, $5)::bigint
		FROM sold JOIN best USING (product_id) JOIN products p ON p.id = product_id
		ORDER BY 1, 3`
)

func scanSold(row pgx.CollectableRow) (s shop.SoldOnDay, err error) {
	err = row.Scan(&s.ProductID, &s.Name, &s.Day, &s.Units, &s.Revenue)
	return s, err
}

// Sold implements shop.OrderStore. Both statements see the same orders as summed.
func (db *DB) Sold(ctx context.Context, f shop.SalesFilter) (found []shop.SoldOnDay, err error) {
	const operation = "sum up sales"
	if err := db.sales.Acquire(ctx, 1); err != nil {
		return nil, wrap(err, operation)
	}
	defer db.sales.Release(1)
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, db.lists, snapshot, func(tx pgx.Tx) error {
		if err := planForParameters(ctx, tx); err != nil {
			return err
		}
		since, err := collectOne(ctx, tx, "read what is summed up", pgx.ErrNoRows, pgx.RowTo[time.Time], `SELECT until FROM sales_summed`)
		if err != nil {
			return err
		}
		sql := unsummed + bestProducts + soldItems + allItems + sold
		args := []any{f.From, f.From.AddDate(0, 0, int(f.Days)), since, f.Products, int64(maxRevenue)}
		if f.OwnerID != 0 {
			sql, args = unsummed+productsOfOwner+soldItems+itemsOfOwner+sold, append(args, f.OwnerID)
		}
		found, err = collect(ctx, tx, "read sold items", scanSold, sql, args...)
		return err
	})
	return found, wrap(err, operation)
}

// planForParameters makes the planner plan a transaction's statements for their parameters, as the best
// plan depends on the period.
func planForParameters(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT set_config('plan_cache_mode', 'force_custom_plan', true)`)
	return err
}

// SumSales adds up to six hours of orders to product_sales, and reports whether there may be more. It
// adds less when that is more than 50,000 orders, as a statement has a timeout and cancellations wait.
// It leaves out the last minute, and what is later than the beginning of an open transaction, which
// may yet commit orders of that time.
func (db *DB) SumSales(ctx context.Context) (more bool, err error) {
	err = db.begin(ctx, func(tx pgx.Tx) error {
		if err := planForParameters(ctx, tx); err != nil {
			return err
		}
		var from, to time.Time
		err := tx.QueryRow(ctx, `
			SELECT until, least(until + (
				SELECT coalesce(max(step), '2 seconds') FROM unnest('{6 hours,30 minutes,3 minutes,20 seconds}'::interval[]) AS step
				WHERE (SELECT count(*) FROM (
					SELECT FROM orders WHERE created_at >= until AND created_at < until + step LIMIT 50001) AS counted) <= 50000
			), now() - interval '1 minute', (
				SELECT min(xact_start) FROM pg_stat_activity
				WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()))
			FROM sales_summed FOR UPDATE`).Scan(&from, &to)
		if err != nil || !from.Before(to) {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO product_sales AS s (product_id, day, units, revenue)
			SELECT coalesce(i.product_id, 0), store_day(o.created_at) AS day, sum(i.quantity), sum(i.quantity * i.unit_price)
			FROM orders o JOIN order_items i ON i.order_id = o.id
			WHERE o.created_at >= $1 AND o.created_at < $2 AND o.status = 'placed'
			GROUP BY GROUPING SETS ((i.product_id, day), (day)) ORDER BY 1, 2
			ON CONFLICT ON CONSTRAINT product_sales_pkey
			DO UPDATE SET units = s.units + excluded.units, revenue = s.revenue + excluded.revenue`, from, to)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `UPDATE sales_summed SET until = $1 RETURNING until < now() - interval '2 minutes'`, to).Scan(&more)
	})
	return more, wrap(err, "sum up sales")
}
