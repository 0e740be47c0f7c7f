package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	"merchstore.io/merchstore/services/db/shop"
)

const rollbackTimeout = time.Second

// PlaceOrders places a batch of orders in one transaction: it reads and locks the stock once,
// allocates it in memory, and writes with one statement per table. Either everything that the
// outcomes say is committed, or the batch fails. BEGIN and COMMIT are sent along with the
// statements, so a batch takes two round trips.
func (db *DB) PlaceOrders(ctx context.Context, requests []shop.OrderRequest) ([]shop.Outcome, error) {
	var d shop.Decision
	err := retryUnexecuted(ctx, func() (err error) {
		d, err = db.placeBatch(ctx, requests)
		return err
	})
	db.changedProducts(ctx, slices.Collect(maps.Keys(d.Sold))...)
	if err != nil && len(requests) > 1 && isDataError(err) {
		return db.placeOneByOne(ctx, requests)
	}
	return d.Outcomes, wrap(err, fmt.Sprintf("place %d orders", len(requests)))
}

// placeBatch is one attempt of PlaceOrders.
func (db *DB) placeBatch(ctx context.Context, requests []shop.OrderRequest) (d shop.Decision, err error) {
	err = db.orders.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		defer rollback(ctx, conn)
		snapshot, err := lockSnapshot(ctx, conn, requests)
		if err != nil {
			return err
		}
		d = shop.Decide(requests, snapshot)
		if err := writeDecision(ctx, conn, requests, d, snapshot.Now); err != nil {
			return err
		}
		return checkReplicated(conn)
	})
	return d, err
}

// rollback ends a transaction that was not committed. If it fails, the pool closes the connection,
// which ends the transaction too.
func rollback(ctx context.Context, conn *pgxpool.Conn) {
	if status := conn.Conn().PgConn().TxStatus(); status == 'I' || conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_, _ = conn.Exec(ctx, "ROLLBACK")
}

// placeOneByOne places each order in a transaction of its own, so that one which the database
// rejects does not fail the others.
func (db *DB) placeOneByOne(ctx context.Context, requests []shop.OrderRequest) ([]shop.Outcome, error) {
	outcomes := make([]shop.Outcome, len(requests))
	for i := range requests {
		one, err := db.PlaceOrders(ctx, requests[i:i+1])
		switch f, ok := failure.As(err); {
		case err == nil:
			outcomes[i] = one[0]
		case ok:
			outcomes[i].Failure = f
		default:
			outcomes[i].Failure = failure.Internal("the order could not be placed").WithCause(err)
		}
	}
	return outcomes, nil
}

// lockSnapshot begins a transaction, and reads and locks all that shop.Decide needs. The statements
// are sent together, but each one sees what was committed before it starts: once the lock of an
// idempotency key is taken, the record that another batch wrote for the key is visible.
func lockSnapshot(ctx context.Context, conn *pgxpool.Conn, requests []shop.OrderRequest) (shop.Snapshot, error) {
	s := shop.Snapshot{
		Accounts: map[int32]*shop.User{},
		Products: map[int32]*shop.Product{},
		Records:  map[shop.IdempotencyKey]shop.IdempotencyRecord{},
		InFlight: map[shop.IdempotencyKey]bool{},
		OrderIDs: make([]int64, 0, len(requests)),
	}
	buyers, users, keys, products := lockTargets(requests)
	var recorded []recordedOutcome

	batch := new(pgx.Batch)
	batch.Queue("BEGIN")
	if len(keys) > 0 {
		batch.Queue(`SELECT k.user_id, k.key, pg_try_advisory_xact_lock(hashtextextended(k.key, k.user_id))
			FROM unnest($1::integer[], $2::text[]) AS k (user_id, key)`, users, keys).Query(func(rows pgx.Rows) error {
			var k shop.IdempotencyKey
			var locked bool
			_, err := pgx.ForEachRow(rows, []any{&k.UserID, &k.Key, &locked}, func() error {
				s.InFlight[k] = !locked
				return nil
			})
			return err
		})
		// LIMIT makes the planner look each key up: for an empty table it would join all of it.
		batch.Queue(`SELECT k.user_id, k.key, r.request_hash, coalesce(r.order_id, 0), r.failure
			FROM unnest($1::integer[], $2::text[]) AS k (user_id, key), LATERAL (
				SELECT request_hash, order_id, failure FROM idempotency_keys i
				WHERE i.user_id = k.user_id AND i.key = k.key AND created_at > now() - make_interval(secs => $3) LIMIT 1
			) AS r`, users, keys, shop.KeyLifetime.Seconds(),
		).Query(func(rows pgx.Rows) (err error) {
			recorded, err = pgx.CollectRows(rows, scanRecordedOutcome)
			return err
		})
	}
	batch.Queue(`SELECT `+userColumns+` FROM users WHERE id = ANY($1)`, buyers).
		Query(collectByID(s.Accounts, scanUser, func(u shop.User) int32 { return u.ID }))
	batch.Queue(`SELECT id, name, (price * 100)::bigint, stock FROM products
		WHERE id = ANY($1) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE`, products).Query(func(rows pgx.Rows) error {
		var p shop.Product
		_, err := pgx.ForEachRow(rows, []any{&p.ID, &p.Name, &p.Price, &p.Stock}, func() error {
			product := p
			s.Products[p.ID] = &product
			return nil
		})
		return err
	})
	batch.Queue(`SELECT nextval('orders_id_seq'), now() FROM generate_series(1, $1::integer)`, len(requests)).Query(func(rows pgx.Rows) error {
		var id int64
		_, err := pgx.ForEachRow(rows, []any{&id, &s.Now}, func() error {
			s.OrderIDs = append(s.OrderIDs, id)
			return nil
		})
		return err
	})
	if err := conn.SendBatch(withQueryName(ctx, "lock stock"), batch).Close(); err != nil {
		return s, fmt.Errorf("lock stock: %w", err)
	}
	s.Now = s.Now.UTC()
	return s, loadRecordedOutcomes(ctx, conn, recorded, s.Records)
}

// lockTargets returns the distinct buyers and products of the requests, and their idempotency keys:
// users[i] is the owner of keys[i].
func lockTargets(requests []shop.OrderRequest) (buyers, users []int32, keys []string, products []int32) {
	for _, r := range requests {
		buyers = append(buyers, r.UserID)
		if r.Key != "" {
			users, keys = append(users, r.UserID), append(keys, r.Key)
		}
		for _, l := range r.Lines {
			products = append(products, l.ProductID)
		}
	}
	return distinct(buyers), users, keys, distinct(products)
}

// recordedOutcome is a row of idempotency_keys.
type recordedOutcome struct {
	key     shop.IdempotencyKey
	hash    []byte
	orderID int64 // 0 for a failure
	failure []byte
}

func scanRecordedOutcome(row pgx.CollectableRow) (r recordedOutcome, err error) {
	err = row.Scan(&r.key.UserID, &r.key.Key, &r.hash, &r.orderID, &r.failure)
	return r, err
}

// failureJSON is a failure as it is stored in idempotency_keys.
type failureJSON struct {
	Kind      failure.Kind   `json:"kind"`
	Reason    failure.Reason `json:"reason"`
	Message   string         `json:"message"`
	RequestID string         `json:"request_id"`
}

// loadRecordedOutcomes adds recorded to records. An order is returned as it was placed,
// even if it has been cancelled since.
func loadRecordedOutcomes(
	ctx context.Context, conn *pgxpool.Conn, recorded []recordedOutcome, records map[shop.IdempotencyKey]shop.IdempotencyRecord,
) error {
	var ids []int64
	for _, r := range recorded {
		if r.orderID != 0 {
			ids = append(ids, r.orderID)
		}
	}
	orders := map[int64]shop.Order{}
	if len(ids) > 0 {
		found, err := ordersByID(ctx, conn, ids)
		if err != nil {
			return err
		}
		for _, o := range found {
			o.Cancelled = false
			orders[o.ID] = o
		}
	}
	for _, r := range recorded {
		record := shop.IdempotencyRecord{Hash: [32]byte(r.hash), Outcome: shop.Outcome{Order: orders[r.orderID]}}
		if r.orderID == 0 {
			var f failureJSON
			if err := json.Unmarshal(r.failure, &f); err != nil {
				return fmt.Errorf("decode the failure of an idempotency key: %w", err)
			}
			record.Outcome.Failure = failure.New(f.Kind, f.Reason, f.Message)
			record.Outcome.Failure.RequestID = f.RequestID
		}
		records[r.key] = record
	}
	return nil
}

// writeDecision stores new orders and idempotency records, commits, and waits until that and all that
// the batch has seen, such as replayed outcomes or who bought the last unit, is durable.
func writeDecision(ctx context.Context, conn *pgxpool.Conn, requests []shop.OrderRequest, d shop.Decision, now time.Time) error {
	var orders orderRows
	var items itemRows
	var keys keyRows
	for _, i := range d.ToWrite {
		r, o := requests[i], d.Outcomes[i]
		if o.Failure == nil {
			orders.add(o.Order)
			items.add(o.Order)
		}
		if r.Key != "" {
			if err := keys.add(r, o); err != nil {
				return err
			}
		}
	}
	batch := new(pgx.Batch)
	if len(orders.ids) > 0 {
		queueStockUpdate(batch, d.Sold)
		orders.queue(batch, now)
		items.queue(batch)
	}
	if len(keys.keys) > 0 {
		keys.queue(batch, now)
	}
	// The commit does not wait until it is durable, so that the locks of the products are not held
	// meanwhile, for which other DB services wait. See decision 24.
	batch.Queue("SET LOCAL synchronous_commit = off")
	batch.Queue("COMMIT")
	batch.Queue(awaitDurable)
	if err := conn.SendBatch(withQueryName(ctx, "write orders"), batch).Close(); err != nil {
		return fmt.Errorf("write orders: %w", err)
	}
	return nil
}

func queueStockUpdate(batch *pgx.Batch, sold map[int32]int32) {
	ids, quantities := make([]int32, 0, len(sold)), make([]int32, 0, len(sold))
	for id, quantity := range sold {
		ids, quantities = append(ids, id), append(quantities, quantity)
	}
	batch.Queue(`UPDATE products p SET stock = p.stock - s.quantity, version = p.version + 1
		FROM unnest($1::integer[], $2::integer[]) AS s (id, quantity) WHERE p.id = s.id`, ids, quantities)
}

// orderRows holds new rows of orders, one slice per column.
type orderRows struct {
	ids     []int64
	userIDs []int32
	totals  []money.Amount
}

func (r *orderRows) add(o shop.Order) {
	r.ids, r.userIDs, r.totals = append(r.ids, o.ID), append(r.userIDs, o.UserID), append(r.totals, o.Total)
}

func (r *orderRows) queue(batch *pgx.Batch, now time.Time) {
	batch.Queue(`INSERT INTO orders (id, user_id, total_price, created_at)
		SELECT id, user_id, total / 100.0, $4
		FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS o (id, user_id, total)`, r.ids, r.userIDs, r.totals, now)
}

// itemRows holds new rows of order_items, one slice per column.
type itemRows struct {
	orderIDs               []int64
	productIDs, quantities []int32
	lines                  []int16
	names                  []string
	prices                 []money.Amount
}

func (r *itemRows) add(o shop.Order) {
	for line, i := range o.Items {
		r.orderIDs, r.productIDs = append(r.orderIDs, o.ID), append(r.productIDs, i.ProductID)
		r.lines, r.names = append(r.lines, int16(line)), append(r.names, i.Name)
		r.quantities, r.prices = append(r.quantities, i.Quantity), append(r.prices, i.UnitPrice)
	}
}

func (r *itemRows) queue(batch *pgx.Batch) {
	batch.Queue(`INSERT INTO order_items (order_id, product_id, line, name, quantity, unit_price)
		SELECT order_id, product_id, line, name, quantity, price / 100.0
		FROM unnest($1::bigint[], $2::integer[], $3::smallint[], $4::text[], $5::integer[], $6::bigint[])
			AS i (order_id, product_id, line, name, quantity, price)`,
		r.orderIDs, r.productIDs, r.lines, r.names, r.quantities, r.prices)
}

// keyRows holds new rows of idempotency_keys, one slice per column.
type keyRows struct {
	userIDs  []int32
	keys     []string
	hashes   [][]byte
	orderIDs []*int64
	failures []*string
}

func (k *keyRows) add(r shop.OrderRequest, o shop.Outcome) error {
	var orderID *int64
	var failed *string
	if f := o.Failure; f != nil {
		b, err := json.Marshal(failureJSON{Kind: f.Kind, Reason: f.Reason, Message: f.Message, RequestID: f.RequestID})
		if err != nil {
			return fmt.Errorf("encode the failure of an idempotency key: %w", err)
		}
		s := string(b)
		failed = &s
	} else {
		orderID = &o.Order.ID
	}
	k.userIDs, k.keys, k.hashes = append(k.userIDs, r.UserID), append(k.keys, r.Key), append(k.hashes, r.Hash[:])
	k.orderIDs, k.failures = append(k.orderIDs, orderID), append(k.failures, failed)
	return nil
}

// queue replaces the row of a key that is older than its lifetime.
func (k *keyRows) queue(batch *pgx.Batch, now time.Time) {
	batch.Queue(`INSERT INTO idempotency_keys (user_id, key, request_hash, order_id, failure, created_at)
		SELECT user_id, key, request_hash, order_id, failure::jsonb, $6
		FROM unnest($1::integer[], $2::text[], $3::bytea[], $4::bigint[], $5::text[])
			AS k (user_id, key, request_hash, order_id, failure)
		ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO UPDATE SET request_hash = excluded.request_hash,
			order_id = excluded.order_id, failure = excluded.failure, created_at = excluded.created_at`,
		k.userIDs, k.keys, k.hashes, k.orderIDs, k.failures, now)
}
