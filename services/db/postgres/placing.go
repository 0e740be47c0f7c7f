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

const rollBackTimeout = time.Second

// PlaceOrders places a group of orders in one transaction: what is on the shelf is read and locked once, handed out in
// memory, and written with one statement a table. Either all that the outcomes say has been committed, or the group
// failed. BEGIN and COMMIT travel with the statements, so a group is two round trips.
func (db *DB) PlaceOrders(ctx context.Context, placements []shop.Placement) ([]shop.Outcome, error) {
	var d shop.Decision
	err := db.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		defer rollBack(ctx, conn)
		shelf, err := lockShelf(ctx, conn, placements)
		if err != nil {
			return err
		}
		d = shop.Decide(placements, shelf)
		if len(d.Fresh) == 0 && len(shelf.Answers) == 0 {
			return nil
		}
		if err := writeGroup(ctx, conn, placements, d, shelf.Now); err != nil {
			return err
		}
		return checkReplicated(conn)
	})
	db.changedProducts(ctx, slices.Collect(maps.Keys(d.Sold))...)
	if err != nil && len(placements) > 1 && isRowsFault(err) {
		return db.placeEach(ctx, placements)
	}
	return d.Outcomes, wrap(err, fmt.Sprintf("place %d orders", len(placements)))
}

// rollBack ends a transaction that was not committed. If even that fails the pool drops the connection, which ends it too.
func rollBack(ctx context.Context, conn *pgxpool.Conn) {
	if status := conn.Conn().PgConn().TxStatus(); status == 'I' || conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollBackTimeout)
	defer cancel()
	_, _ = conn.Exec(ctx, "ROLLBACK")
}

// placeEach places the orders of a group one by one, so that one which the database refuses does not fail the others.
func (db *DB) placeEach(ctx context.Context, placements []shop.Placement) ([]shop.Outcome, error) {
	outcomes := make([]shop.Outcome, len(placements))
	for i := range placements {
		one, err := db.PlaceOrders(ctx, placements[i:i+1])
		switch f, ok := failure.As(err); {
		case err == nil:
			outcomes[i] = one[0]
		case ok:
			outcomes[i].Failure = f
		default:
			outcomes[i].Failure = failure.New(0, failure.ReasonInternal, "the order could not be placed").Because(err)
		}
	}
	return outcomes, nil
}

// lockShelf begins a transaction, reads all that the group's decision needs, and holds it until the transaction ends. The statements go out
// together, but each sees what was committed before it starts: an answer that another group gives to a key is there to
// be read once that key's lock is had.
func lockShelf(ctx context.Context, conn *pgxpool.Conn, placements []shop.Placement) (shop.Shelf, error) {
	s := shop.Shelf{
		Accounts: map[int32]*shop.User{}, Products: map[int32]*shop.Product{}, Answers: map[shop.Key]shop.Answer{},
		Busy: map[shop.Key]bool{}, IDs: make([]int64, 0, len(placements)),
	}
	buyers, users, keys, products := wanted(placements)
	var recorded []recordedAnswer

	batch := new(pgx.Batch)
	batch.Queue("BEGIN")
	if len(keys) > 0 {
		batch.Queue(`SELECT k.user_id, k.key, pg_try_advisory_xact_lock(hashtextextended(k.key, k.user_id))
			FROM unnest($1::integer[], $2::text[]) AS k (user_id, key)`, users, keys).Query(func(rows pgx.Rows) error {
			var k shop.Key
			var locked bool
			_, err := pgx.ForEachRow(rows, []any{&k.UserID, &k.Key, &locked}, func() error {
				s.Busy[k] = !locked
				return nil
			})
			return err
		})
		batch.Queue(`SELECT i.user_id, i.key, i.request_hash, coalesce(i.order_id, 0), i.failure
			FROM unnest($1::integer[], $2::text[]) AS k (user_id, key) JOIN idempotency_keys i USING (user_id, key)
			WHERE i.created_at > now() - make_interval(secs => $3)`, users, keys, shop.KeyLifetime.Seconds(),
		).Query(func(rows pgx.Rows) (err error) {
			recorded, err = pgx.CollectRows(rows, scanRecordedAnswer)
			return err
		})
	}
	batch.Queue(`SELECT `+userColumns+` FROM users WHERE id = ANY($1)`, buyers).
		Query(into(s.Accounts, scanUser, func(u shop.User) int32 { return u.ID }))
	batch.Queue(`SELECT id, name, (price * 100)::bigint, stock FROM products
		WHERE id = ANY($1) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE`, products).Query(func(rows pgx.Rows) error {
		var p shop.Product
		_, err := pgx.ForEachRow(rows, []any{&p.ID, &p.Name, &p.Price, &p.Stock}, func() error {
			found := p
			s.Products[p.ID] = &found
			return nil
		})
		return err
	})
	batch.Queue(`SELECT nextval('orders_id_seq'), now() FROM generate_series(1, $1::integer)`, len(placements)).Query(func(rows pgx.Rows) error {
		var id int64
		_, err := pgx.ForEachRow(rows, []any{&id, &s.Now}, func() error {
			s.IDs = append(s.IDs, id)
			return nil
		})
		return err
	})
	if err := conn.SendBatch(named(ctx, "lock shelf"), batch).Close(); err != nil {
		return s, fmt.Errorf("lock shelf: %w", err)
	}
	s.Now = s.Now.UTC()
	return s, recall(ctx, conn, recorded, s.Answers)
}

// wanted lists the buyers and the products of the group, and the keys that it brings (users and keys side by side).
func wanted(placements []shop.Placement) (buyers, users []int32, keys []string, products []int32) {
	for _, p := range placements {
		buyers = append(buyers, p.UserID)
		if p.Key != "" {
			users, keys = append(users, p.UserID), append(keys, p.Key)
		}
		for _, l := range p.Lines {
			products = append(products, l.ProductID)
		}
	}
	return distinct(buyers), users, keys, distinct(products)
}

// recordedAnswer is a row of idempotency_keys.
type recordedAnswer struct {
	key     shop.Key
	hash    []byte
	orderID int64 // 0: a failure
	failure []byte
}

func scanRecordedAnswer(row pgx.CollectableRow) (r recordedAnswer, err error) {
	err = row.Scan(&r.key.UserID, &r.key.Key, &r.hash, &r.orderID, &r.failure)
	return r, err
}

// recordedFailure is how a failure is kept.
type recordedFailure struct {
	Kind      failure.Kind   `json:"kind"`
	Reason    failure.Reason `json:"reason"`
	Message   string         `json:"message"`
	RequestID string         `json:"request_id"`
}

// recall makes answers of rows. An order is told as it was when it was placed, whatever has become of it.
func recall(ctx context.Context, conn *pgxpool.Conn, recorded []recordedAnswer, answers map[shop.Key]shop.Answer) error {
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
		a := shop.Answer{Hash: [32]byte(r.hash), Outcome: shop.Outcome{Order: orders[r.orderID]}}
		if r.orderID == 0 {
			var f recordedFailure
			if err := json.Unmarshal(r.failure, &f); err != nil {
				return fmt.Errorf("read failure of an idempotency key: %w", err)
			}
			a.Outcome.Failure = failure.New(f.Kind, f.Reason, f.Message)
			a.Outcome.Failure.RequestID = f.RequestID
		}
		answers[r.key] = a
	}
	return nil
}

// writeGroup stores what was decided, and commits. Replays alone write nothing, but are only answered once they are durable; with
// new orders in the group, the commit of those is waited for, which comes later in the log.
func writeGroup(ctx context.Context, conn *pgxpool.Conn, placements []shop.Placement, d shop.Decision, now time.Time) error {
	var orders orderRows
	var items itemRows
	var answers answerRows
	for _, i := range d.Fresh {
		p, o := placements[i], d.Outcomes[i]
		if o.Failure == nil {
			orders.add(o.Order)
			items.add(o.Order)
		}
		if p.Key != "" {
			if err := answers.add(p, o); err != nil {
				return err
			}
		}
	}
	batch := new(pgx.Batch)
	if len(orders.ids) > 0 {
		queueSold(batch, d.Sold)
		orders.queue(batch, now)
		items.queue(batch)
	}
	if len(answers.keys) > 0 {
		answers.queue(batch, now)
	}
	if batch.Len() == 0 {
		batch.Queue(awaitDurable)
	}
	batch.Queue("COMMIT")
	if err := conn.SendBatch(named(ctx, "write orders"), batch).Close(); err != nil {
		return fmt.Errorf("write orders: %w", err)
	}
	return nil
}

func queueSold(batch *pgx.Batch, sold map[int32]int32) {
	ids, quantities := make([]int32, 0, len(sold)), make([]int32, 0, len(sold))
	for id, quantity := range sold {
		ids, quantities = append(ids, id), append(quantities, quantity)
	}
	batch.Queue(`UPDATE products p SET stock = p.stock - s.quantity, version = p.version + 1
		FROM unnest($1::integer[], $2::integer[]) AS s (id, quantity) WHERE p.id = s.id`, ids, quantities)
}

// orderRows are the columns of new orders.
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

// itemRows are the columns of new order items.
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

// answerRows are the columns of new idempotency keys.
type answerRows struct {
	userIDs  []int32
	keys     []string
	hashes   [][]byte
	orderIDs []*int64
	failures []*string
}

func (r *answerRows) add(p shop.Placement, o shop.Outcome) error {
	var orderID *int64
	var failed *string
	if f := o.Failure; f != nil {
		b, err := json.Marshal(recordedFailure{Kind: f.Kind, Reason: f.Reason, Message: f.Message, RequestID: f.RequestID})
		if err != nil {
			return fmt.Errorf("write failure of an idempotency key: %w", err)
		}
		s := string(b)
		failed = &s
	} else {
		orderID = &o.Order.ID
	}
	r.userIDs, r.keys, r.hashes = append(r.userIDs, p.UserID), append(r.keys, p.Key), append(r.hashes, p.Hash[:])
	r.orderIDs, r.failures = append(r.orderIDs, orderID), append(r.failures, failed)
	return nil
}

// queue replaces a key that has outlived its time.
func (r *answerRows) queue(batch *pgx.Batch, now time.Time) {
	batch.Queue(`INSERT INTO idempotency_keys (user_id, key, request_hash, order_id, failure, created_at)
		SELECT user_id, key, request_hash, order_id, failure::jsonb, $6
		FROM unnest($1::integer[], $2::text[], $3::bytea[], $4::bigint[], $5::text[])
			AS k (user_id, key, request_hash, order_id, failure)
		ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO UPDATE SET request_hash = excluded.request_hash,
			order_id = excluded.order_id, failure = excluded.failure, created_at = excluded.created_at`,
		r.userIDs, r.keys, r.hashes, r.orderIDs, r.failures, now)
}
