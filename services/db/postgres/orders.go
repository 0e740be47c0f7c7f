package postgres

import (
	"context"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/db/shop"
)

const orderColumns = `o.id, o.user_id, (SELECT sid FROM users WHERE users.id = o.user_id), o.status = 'cancelled',
	(o.total_price * 100)::bigint, o.created_at`

// listedOrderColumns also have the buyer's name.
const listedOrderColumns = orderColumns + `, (SELECT username FROM users WHERE users.id = o.user_id)`

func scanOrder(row pgx.CollectableRow) (o shop.Order, err error) {
	err = row.Scan(&o.ID, &o.UserID, &o.UserSID, &o.Cancelled, &o.Total, &o.CreatedAt)
	o.CreatedAt = o.CreatedAt.UTC()
	return o, err
}

func scanListedOrder(row pgx.CollectableRow) (o shop.Order, err error) {
	err = row.Scan(&o.ID, &o.UserID, &o.UserSID, &o.Cancelled, &o.Total, &o.CreatedAt, &o.Username)
	o.CreatedAt = o.CreatedAt.UTC()
	return o, err
}

// Order implements shop.OrderStore.
func (db *DB) Order(ctx context.Context, id int64) (o shop.Order, err error) {
	found, err := ordersByID(ctx, db.pool, []int64{id})
	if err == nil && len(found) == 0 {
		return o, shop.ErrOrderNotFound
	}
	if err != nil {
		return o, err
	}
	return found[0], nil
}

func ordersByID(ctx context.Context, q querier, ids []int64) ([]shop.Order, error) {
	found, err := collect(ctx, q, "read orders", scanOrder, `SELECT `+orderColumns+` FROM orders o WHERE o.id = ANY($1)`, ids)
	if err != nil {
		return nil, err
	}
	return withItems(ctx, q, found)
}

// Orders implements shop.OrderStore.
func (db *DB) Orders(ctx context.Context, userID int32, k shop.Keyset) ([]shop.Order, error) {
	before, filter, args := k.After, "", []any(nil)
	if before == 0 {
		before = math.MaxInt64
	}
	if userID != 0 {
		filter, args = "AND o.user_id = $3", []any{userID}
	}
	found, err := collect(ctx, db.lists, "list orders", scanListedOrder, `
		SELECT `+listedOrderColumns+` FROM orders o WHERE o.id < $1::bigint `+filter+`
		ORDER BY o.id DESC LIMIT $2`, append([]any{before, k.Limit}, args...)...)
	if err != nil {
		return nil, err
	}
	return withItems(ctx, db.lists, found)
}

// withItems reads the items of the orders.
func withItems(ctx context.Context, q querier, orders []shop.Order) ([]shop.Order, error) {
	index := make(map[int64]int, len(orders))
	ids := make([]int64, len(orders))
	for i, o := range orders {
		index[o.ID], ids[i] = i, o.ID
	}
	type item struct {
		orderID int64
		shop.OrderItem
	}
	items, err := collect(ctx, q, "read order items", func(row pgx.CollectableRow) (i item, err error) {
		err = row.Scan(&i.orderID, &i.ProductID, &i.Name, &i.Quantity, &i.UnitPrice)
		return i, err
	}, `SELECT order_id, product_id, name, quantity, (unit_price * 100)::bigint FROM order_items
		WHERE order_id = ANY($1) ORDER BY order_id, line`, ids)
	if err != nil {
		return nil, err
	}
	for _, i := range items {
		o := &orders[index[i.orderID]]
		o.Items = append(o.Items, i.OrderItem)
	}
	return orders, nil
}

// CancelOrder implements shop.OrderStore. Concurrent calls are serialized by the lock of the
// order's row. Products are then locked in the order of their ids, as PlaceOrders does.
func (db *DB) CancelOrder(ctx context.Context, id int64) (o shop.Order, err error) {
	err = db.write(ctx, "cancel order", func(tx pgx.Tx) error {
		var cancelled bool
		err := tx.QueryRow(ctx, `SELECT status = 'cancelled' FROM orders WHERE id = $1 FOR NO KEY UPDATE`, id).Scan(&cancelled)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return shop.ErrOrderNotFound
		case err != nil:
			return err
		case cancelled:
			return shop.ErrAlreadyCancelled
		}
		batch := new(pgx.Batch)
		batch.Queue(`UPDATE orders SET status = 'cancelled' WHERE id = $1`, id)
		batch.Queue(`SELECT FROM products WHERE id IN (SELECT product_id FROM order_items WHERE order_id = $1)
			ORDER BY id FOR NO KEY UPDATE`, id)
		batch.Queue(`UPDATE products p SET stock = p.stock + i.quantity, version = p.version + 1
			FROM order_items i WHERE i.order_id = $1 AND p.id = i.product_id`, id)
		err = tx.SendBatch(withQueryName(ctx, "cancel order"), batch).Close()
		switch {
		case isOutOfRange(err):
			return shop.ErrStockTooLarge.WithCause(err)
		case err != nil:
			return err
		}
		found, err := ordersByID(ctx, tx, []int64{id})
		if err == nil {
			o = found[0]
		}
		return err
	})
	var restored []int32
	for _, i := range o.Items {
		restored = append(restored, i.ProductID)
	}
	db.changedProducts(ctx, restored...)
	return o, err
}
