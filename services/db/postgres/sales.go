package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/db/shop"
)

// maxRevenue limits each sum, in minor units, so that no sum of them overflows.
const maxRevenue = 10_000_000_000_000_000

// A query consists of sold, an optional condition on i.product_id, which may use $6, and soldByDay.
const (
	sold = `
		WITH sold AS (
			SELECT i.product_id, floor(date_part('epoch', o.created_at - $1::timestamptz) / 86400)::integer AS day,
				sum(i.quantity) AS units, sum(i.quantity * i.unit_price) * 100 AS revenue
			FROM orders o JOIN order_items i ON i.order_id = o.id
			WHERE o.id >= $2 AND i.order_id >= $2 AND o.created_at >= $1 AND o.created_at < $3 AND o.status = 'placed'`
	soldByDay = `
			GROUP BY 1, 2
		), best AS (
			SELECT product_id FROM sold GROUP BY product_id ORDER BY sum(revenue) DESC, product_id LIMIT $4
		)
		SELECT 0, '', day, sum(units)::bigint, least(sum(revenue), $5)::bigint FROM sold GROUP BY day
		UNION ALL
		SELECT product_id, p.name, day, units, least(revenue, $5)::bigint
		FROM sold JOIN best USING (product_id) JOIN products p ON p.id = product_id
		ORDER BY 1, 3`
)

func scanSold(row pgx.CollectableRow) (s shop.SoldOnDay, err error) {
	err = row.Scan(&s.ProductID, &s.Name, &s.Day, &s.Units, &s.Revenue)
	return s, err
}

// Sold implements shop.OrderStore. It sums up the orders themselves: a stored sum would have to be
// updated with every order. It first finds the period's first order, so that the later ones and their
// items are found by primary key.
func (db *DB) Sold(ctx context.Context, f shop.SalesFilter) (found []shop.SoldOnDay, err error) {
	const operation = "sum up sales"
	if err := db.sales.Acquire(ctx, 1); err != nil {
		return nil, wrap(err, operation)
	}
	defer db.sales.Release(1)
	err = pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		// The best plan depends on the period. Compiling it would take longer than running it.
		_, err := tx.Exec(ctx, `SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)`)
		if err != nil {
			return err
		}
		var first int64 // OFFSET keeps the planner from looking for it in the order of ids
		err = tx.QueryRow(ctx, `SELECT id FROM (SELECT id FROM orders WHERE created_at >= $1 OFFSET 0) AS period
			ORDER BY id LIMIT 1`, f.From).Scan(&first)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		sql, args := sold+soldByDay, []any{f.From, first, f.From.AddDate(0, 0, int(f.Days)), f.Products, int64(maxRevenue)}
		if f.OwnerID != 0 {
			sql = sold + ` AND i.product_id IN (SELECT id FROM products WHERE owner_id = $6)` + soldByDay
			args = append(args, f.OwnerID)
		}
		found, err = collect(ctx, tx, "read sold items", scanSold, sql, args...)
		return err
	})
	return found, wrap(err, operation)
}
