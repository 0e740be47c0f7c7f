package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// size is the number of rows of a store. There are as many idempotency keys as orders.
type size struct{ products, accounts, orders int }

func (s size) times(n int) size { return size{s.products * n, s.accounts * n, s.orders * n} }

// fillStatements fill a database of makeDatabase.
var fillStatements = []string{
	`INSERT INTO users (sid, username, email, password_hash, role)
		SELECT 'g' || i, 'shopper' || i, 'shopper' || i || '@example.com', '', 'customer' FROM generate_series(1, @accounts) i`,
	`SET session_replication_role = replica`, // triggers and checks of foreign keys would take most of the time
	`INSERT INTO products (owner_id, name, description, category, slogan, price, stock)
		SELECT CASE WHEN i <= 50 THEN 2 ELSE 3 + i % @accounts END,
			(ARRAY['Hoodie', 'Mug', 'Cap', 'Notebook', 'Umbrella', 'T-Shirt', '帽子', '笔记本', '马克杯', '雨伞'])[1 + i % 10] || ' ' || i
				|| CASE WHEN i % 700 = 7 AND i < 2000 THEN ' Astrolabe 星盘' ELSE '' END,
			'Made for the campus, number ' || i || ', with the emblem in university blue. ' || md5(i::text),
			CASE WHEN i % 700 = 7 AND i < 2000 THEN 'lanterns' ELSE 'category ' || i % 20 END, 'Worn by ' || i || ' people.', 19.99, 1000000
		FROM generate_series(1, @products) i`,
	`INSERT INTO product_terms (term, rank, product_id)
		SELECT term, rank, id FROM products, search_terms(name, description, category) WHERE id > 3`,
	`INSERT INTO categories (name, products) SELECT category, count(*) FROM products WHERE id > 3 GROUP BY category`,
	`INSERT INTO orders (user_id, total_price, created_at)
		SELECT 1 + i % @accounts, 39.98, now() - interval '1 year' * (1 - i::float8 / @orders) FROM generate_series(1, @orders) i`,
	`INSERT INTO order_items (order_id, product_id, line, name, quantity, unit_price)
		SELECT i, 1 + (i * 7919::bigint) % @products, 0, 'Hoodie', 2, 19.99 FROM generate_series(1, @orders) i`,
	`INSERT INTO product_sales (product_id, day, units, revenue)
		SELECT coalesce(product_id, 0), store_day(created_at), sum(quantity), sum(quantity * unit_price)
		FROM orders JOIN order_items ON order_id = id GROUP BY store_day(created_at), ROLLUP (product_id)`,
	`INSERT INTO idempotency_keys (user_id, key, request_hash, order_id, created_at)
		SELECT 1 + i % @accounts, md5(i::text), sha256(i::text::bytea), i, now() - interval '25 hours' FROM generate_series(1, @orders) i`,
}

// fill fills a database of makeDatabase, and makes its first buyer an admin.
func fill(ctx context.Context, url string, s size) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `UPDATE users SET role = 'admin' WHERE id = 1; SET synchronous_commit = off; SET jit = off`); err != nil {
		return fmt.Errorf("prepare filling: %w", err)
	}
	arguments := pgx.NamedArgs{"products": s.products, "accounts": s.accounts, "orders": s.orders}
	for _, sql := range fillStatements {
		if _, err := conn.Exec(ctx, sql, arguments); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	if _, err = conn.Exec(ctx, `VACUUM ANALYZE`); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return nil
}
