package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpc"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

func line(p *merchstorev1.Product, quantity int32) *merchstorev1.OrderLine {
	return &merchstorev1.OrderLine{ProductId: p.GetId(), Quantity: quantity}
}

func order(key string, lines ...*merchstorev1.OrderLine) *merchstorev1.PlaceOrderRequest {
	return &merchstorev1.PlaceOrderRequest{Lines: lines, IdempotencyKey: key}
}

func TestCancelRestoresStockOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, buyer := s.signUp("admin"), s.signUp("buyer")
	hoodie, mug := s.product(admin, 10), s.product(admin, 10)

	placed, err := s.PlaceOrder(buyer.ctx, order("", line(mug, 3), line(hoodie, 2)))
	if err != nil {
		t.Fatal(err)
	}
	got := placed.GetOrder()
	want := &merchstorev1.Order{
		Id: got.GetId(), UserSid: buyer.Sid, Status: merchstorev1.OrderStatus_ORDER_STATUS_PLACED, TotalPrice: 5 * 19900,
		CreatedAt: got.GetCreatedAt(), Items: []*merchstorev1.OrderItem{
			{ProductId: mug.GetId(), Name: "Hoodie", Quantity: 3, UnitPrice: 19900},
			{ProductId: hoodie.GetId(), Name: "Hoodie", Quantity: 2, UnitPrice: 19900},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	read, err := s.GetOrder(buyer.ctx, &merchstorev1.GetOrderRequest{Id: got.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, read.GetOrder(), protocmp.Transform()); diff != "" {
		t.Errorf("GetOrder (-placed +read):\n%s", diff)
	}
	if n := s.count(`SELECT stock FROM products WHERE id = $1`, mug.GetId()); n != 7 {
		t.Errorf("stock is %d, want 7", n)
	}

	var cancelled, refused atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := s.CancelOrder(buyer.ctx, &merchstorev1.CancelOrderRequest{Id: got.GetId()})
			switch reason(err) {
			case "":
				cancelled.Add(1)
			case "order_already_cancelled":
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if cancelled.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d cancelled, %d refused; want 1 and 15", cancelled.Load(), refused.Load())
	}
	if n := s.count(`SELECT stock FROM products WHERE id = $1`, mug.GetId()); n != 10 {
		t.Errorf("stock is %d after the cancel, want 10", n)
	}
}

// TestConcurrentOrdersDoNotOversell has many buyers order from two DB services on one database.
func TestConcurrentOrdersDoNotOversell(t *testing.T) {
	t.Parallel()
	s := start(t)
	pods := []*service{s, startOn(t, s.url)}
	buyers := s.accounts(64)
	hot := []*merchstorev1.Product{s.product(buyers[0], 100), s.product(buyers[0], 100), s.product(buyers[0], 1000)}

	var sold, refused atomic.Int32
	var wg sync.WaitGroup
	for i, b := range buyers {
		wg.Go(func() {
			for n := range 10 {
				lines := []*merchstorev1.OrderLine{line(hot[n%2], 1), line(hot[2], 1)}
				if n%3 == 0 { // reversed, to provoke deadlocks
					lines[0], lines[1] = lines[1], lines[0]
				}
				_, err := pods[i%2].PlaceOrder(b.ctx, order(fmt.Sprint("key-", n), lines...))
				switch reason(err) {
				case "":
					sold.Add(1)
				case "out_of_stock":
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if sold.Load() != 200 || refused.Load() != 440 {
		t.Errorf("%d sold, %d refused; want 200 and 440", sold.Load(), refused.Load())
	}
	if left := s.count(`SELECT sum(stock) FROM products WHERE id = ANY($1)`, []int32{hot[0].GetId(), hot[1].GetId()}); left != 0 {
		t.Errorf("%d units left of the two scarce products", left)
	}
	if left := s.count(`SELECT stock FROM products WHERE id = $1`, hot[2].GetId()); left != 800 {
		t.Errorf("%d units left of the third, want 800", left)
	}
}

func TestReplaysTheFirstOutcomeForARepeatedKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	buyer, other := s.signUp("buyer"), s.signUp("other")
	p := s.product(buyer, 3)
	requestID := func(id string) account { return account{buyer.User, rpc.WithRequestID(buyer.ctx, id)} }

	first, err := s.PlaceOrder(buyer.ctx, order("k", line(p, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CancelOrder(buyer.ctx, &merchstorev1.CancelOrderRequest{Id: first.GetOrder().GetId()}); err != nil {
		t.Fatal(err)
	}
	again, err := s.PlaceOrder(buyer.ctx, order("k", line(p, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.GetOrder(), again.GetOrder(), protocmp.Transform()); diff != "" || !again.GetReplayed() {
		t.Errorf("replay differs (-first +again), replayed %t:\n%s", again.GetReplayed(), diff)
	}
	_, err = s.PlaceOrder(buyer.ctx, order("k", line(p, 2)))
	wantReason(t, err, "idempotency_key_reused")
	theirs, err := s.PlaceOrder(other.ctx, order("k", line(p, 1)))
	if err != nil || theirs.GetReplayed() {
		t.Errorf("another user's key was replayed: %v", err)
	}

	_, err = s.PlaceOrder(requestID("first").ctx, order("too many", line(p, 9)))
	wantReason(t, err, "out_of_stock")
	if _, err := s.sql().Exec(t.Context(), `UPDATE products SET stock = 100`); err != nil {
		t.Fatal(err)
	}
	_, err = s.PlaceOrder(requestID("second").ctx, order("too many", line(p, 9)))
	wantReason(t, err, "out_of_stock")
	if f, _ := failure.As(rpc.Failure(err)); f.RequestID != "first" {
		t.Errorf("the replayed failure has request id %q, want first", f.RequestID)
	}

	if _, err := s.sql().Exec(t.Context(), `UPDATE idempotency_keys SET created_at = now() - interval '25 hours'`); err != nil {
		t.Fatal(err)
	}
	afterExpiry, err := s.PlaceOrder(buyer.ctx, order("k", line(p, 2)))
	if err != nil || afterExpiry.GetReplayed() {
		t.Errorf("an expired key was replayed: %v", err)
	}
}

func TestConcurrentCallsWithOneKeyPlaceOneOrder(t *testing.T) {
	t.Parallel()
	s := start(t)
	pods := []*service{s, startOn(t, s.url)}
	buyer := s.signUp("buyer")
	p := s.product(buyer, 100)
	for round := range 10 {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				for {
					_, err := pods[i%2].PlaceOrder(buyer.ctx, order(fmt.Sprint(round), line(p, 1)))
					if reason(err) == "idempotency_key_in_flight" {
						continue
					}
					wantReason(t, err, "")
					return
				}
			})
		}
		wg.Wait()
	}
	if n := s.count(`SELECT count(*) FROM orders`); n != 10 {
		t.Errorf("10 keys placed %d orders", n)
	}
}

func TestRejectsAKeyLockedByAnotherTransaction(t *testing.T) {
	t.Parallel()
	s := start(t)
	buyer := s.signUp("buyer")
	p := s.product(buyer, 1)
	tx, err := s.sql().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(hashtextextended('k', $1))`, buyer.Id); err != nil {
		t.Fatal(err)
	}
	_, err = s.PlaceOrder(buyer.ctx, order("k", line(p, 1)))
	wantReason(t, err, "idempotency_key_in_flight")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = s.PlaceOrder(buyer.ctx, order("k", line(p, 1)))
	wantReason(t, err, "")
}

func TestAnOrderRejectedByTheDatabaseDoesNotFailItsBatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	buyers := s.accounts(20)
	p := s.product(buyers[0], 100)
	_, err := s.sql().Exec(t.Context(), `ALTER TABLE orders ADD CONSTRAINT not_seven CHECK (total_price <> 7 * 199)`)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, b := range buyers {
		wg.Go(func() {
			quantity := int32(1)
			if i == 7 {
				quantity = 7
			}
			_, err := s.PlaceOrder(b.ctx, order("", line(p, quantity)))
			if i == 7 {
				if status.Code(err) != codes.Internal || status.Convert(err).Message() != "the order could not be placed" {
					t.Errorf("the rejected order: %v", err)
				}
			} else if err != nil {
				t.Errorf("another order: %v", err)
			}
		})
	}
	wg.Wait()
	if n := s.count(`SELECT stock FROM products`); n != 81 {
		t.Errorf("stock is %d, want 81", n)
	}
}

func TestOrdersAreVisibleToTheirOwnersAndAdmins(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, peter, yoga := s.signUp("admin"), s.signUp("peter"), s.signUp("yoga")
	p := s.product(admin, 10)
	var ids []int64
	for _, buyer := range []account{peter, yoga, peter} {
		r, err := s.PlaceOrder(buyer.ctx, order("", line(p, 1)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.GetOrder().GetId())
	}
	_, err := s.GetOrder(yoga.ctx, &merchstorev1.GetOrderRequest{Id: ids[0]})
	wantReason(t, err, "order_not_found")
	_, err = s.CancelOrder(yoga.ctx, &merchstorev1.CancelOrderRequest{Id: ids[0]})
	wantReason(t, err, "order_not_found")
	_, err = s.ListOrders(yoga.ctx, &merchstorev1.ListOrdersRequest{UserSid: peter.Sid})
	wantReason(t, err, "forbidden")
	_, err = s.GetOrder(yoga.ctx, &merchstorev1.GetOrderRequest{Id: 1 << 40})
	wantReason(t, err, "order_not_found")
	for name, tt := range map[string]struct {
		actor account
		of    string
		want  []int64
	}{
		"a customer's own":        {peter, "", []int64{ids[2], ids[0]}},
		"a customer's own by sid": {peter, peter.Sid, []int64{ids[2], ids[0]}},
		"everyone's for an admin": {admin, "", []int64{ids[2], ids[1], ids[0]}},
		"one user's for an admin": {admin, yoga.Sid, []int64{ids[1]}},
		"a user without orders":   {admin, admin.Sid, nil},
	} {
		r, err := s.ListOrders(tt.actor.ctx, &merchstorev1.ListOrdersRequest{UserSid: tt.of})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, o := range r.GetOrders() {
			got = append(got, o.GetId())
			if named := o.GetUsername() == peter.Username || o.GetUsername() == yoga.Username; named != (tt.actor.Sid == admin.Sid) {
				t.Errorf("%s: the buyer's name is %q", name, o.GetUsername())
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := s.DeleteProduct(admin.ctx, &merchstorev1.DeleteProductRequest{Id: p.GetId()}); err != nil {
		t.Fatal(err)
	}
	r, err := s.GetOrder(peter.ctx, &merchstorev1.GetOrderRequest{Id: ids[0]})
	if err != nil || r.GetOrder().GetItems()[0].GetName() != "Hoodie" {
		t.Errorf("GetOrder with a deleted product: %v, %v", r, err)
	}
	_, err = s.PlaceOrder(peter.ctx, order("", line(p, 1)))
	wantReason(t, err, "product_not_found")
	_, err = s.CancelOrder(peter.ctx, &merchstorev1.CancelOrderRequest{Id: ids[0]})
	wantReason(t, err, "")
}

func TestDatabaseRejectsNegativeStock(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.product(s.signUp("admin"), 1)
	_, err := s.sql().Exec(t.Context(), `UPDATE products SET stock = stock - 2`)
	var pgErr interface{ SQLState() string }
	if !errors.As(err, &pgErr) || pgErr.SQLState() != "23514" {
		t.Errorf("got %v, want a check violation", err)
	}
}

func TestRejectsACancellationThatWouldOverflowTheStock(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.signUp("admin")
	p := s.product(admin, 10)
	placed, err := s.PlaceOrder(admin.ctx, order("", line(p, 2)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.sql().Exec(t.Context(), `UPDATE products SET stock = 2147483646 WHERE id = $1`, p.GetId()); err != nil {
		t.Fatal(err)
	}
	cancel := &merchstorev1.CancelOrderRequest{Id: placed.GetOrder().GetId()}
	_, err = s.CancelOrder(admin.ctx, cancel)
	wantReason(t, err, "stock_too_large")
	if n := s.count(`SELECT count(*) FROM orders WHERE status = 'placed'`); n != 1 {
		t.Errorf("%d orders are placed, want 1", n)
	}
	_, err = s.UpdateProduct(admin.ctx, &merchstorev1.UpdateProductRequest{Id: p.GetId(), Stock: proto.Int32(3)})
	wantReason(t, err, "")
	_, err = s.CancelOrder(admin.ctx, cancel)
	wantReason(t, err, "")
	if n := s.count(`SELECT stock FROM products WHERE id = $1`, p.GetId()); n != 5 {
		t.Errorf("stock is %d, want 5", n)
	}
}
