package shop

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"merchstore.io/merchstore/internal/failure"
)

// request returns a request for one unit of product 1 by user 1, with the changes applied.
func request(changes ...func(*OrderRequest)) OrderRequest {
	r := OrderRequest{UserID: 1, Token: Token{SID: "s1"}, Lines: []Line{{ProductID: 1, Quantity: 1}}, RequestID: "r"}
	for _, change := range changes {
		change(&r)
	}
	r.Hash = hashLines(r.Lines)
	return r
}

func withLines(lines ...Line) func(*OrderRequest) { return func(r *OrderRequest) { r.Lines = lines } }
func withKey(key string) func(*OrderRequest)      { return func(r *OrderRequest) { r.Key = key } }
func byUser(id int32) func(*OrderRequest)         { return func(r *OrderRequest) { r.UserID = id } }
func withRequestID(id string) func(*OrderRequest) { return func(r *OrderRequest) { r.RequestID = id } }

func hoodie(stock int32) map[int32]*Product {
	return productsByID(Product{ID: 1, Name: "Hoodie", Price: 19900, Stock: stock})
}

func productsByID(products ...Product) map[int32]*Product {
	m := map[int32]*Product{}
	for _, p := range products {
		m[p.ID] = &p
	}
	return m
}

// result is the part of an Outcome that the tests compare.
type result struct {
	ID       int64
	Total    int64
	Reason   failure.Reason
	Request  string
	Replayed bool
}

func results(d Decision) []result {
	var all []result
	for _, o := range d.Outcomes {
		r := result{ID: o.Order.ID, Total: int64(o.Order.Total), Replayed: o.Replayed}
		if o.Failure != nil {
			r.Reason, r.Request = o.Failure.Reason, o.Failure.RequestID
		}
		all = append(all, r)
	}
	return all
}

func TestDecide(t *testing.T) {
	earlier := IdempotencyRecord{Hash: hashLines([]Line{{1, 1}}), Outcome: Outcome{Order: Order{ID: 7, Total: 100}}}
	everyone := map[int32]*User{1: {ID: 1, SID: "s1", Active: true}, 2: {ID: 2, SID: "s1", Active: true}}
	for name, tt := range map[string]struct {
		requests []OrderRequest
		snapshot Snapshot
		want     []result
		toWrite  []int
		sold     map[int32]int32
	}{
		"sells the last unit to the first request": {
			requests: []OrderRequest{request(), request(byUser(2), withRequestID("late"))},
			snapshot: Snapshot{Products: hoodie(1)},
			want:     []result{{ID: 100, Total: 19900}, {Reason: "out_of_stock", Request: "late"}},
			toWrite:  []int{0},
			sold:     map[int32]int32{1: 1},
		},
		"a request that exceeds the stock takes none of it": {
			requests: []OrderRequest{request(withLines(Line{1, 3})), request(withLines(Line{1, 2}))},
			snapshot: Snapshot{Products: hoodie(2)},
			want:     []result{{Reason: "out_of_stock", Request: "r"}, {ID: 101, Total: 39800}},
			toWrite:  []int{1},
			sold:     map[int32]int32{1: 2},
		},
		"rejects an order if one of its products is out of stock": {
			requests: []OrderRequest{request(withLines(Line{1, 1}, Line{2, 1}))},
			snapshot: Snapshot{Products: productsByID(Product{ID: 1, Stock: 5}, Product{ID: 2, Stock: 0})},
			want:     []result{{Reason: "out_of_stock", Request: "r"}},
			sold:     map[int32]int32{},
		},
		"totals an order of several products": {
			requests: []OrderRequest{request(withLines(Line{2, 3}, Line{1, 1}))},
			snapshot: Snapshot{Products: productsByID(Product{ID: 1, Price: 150, Stock: 5}, Product{ID: 2, Price: 1, Stock: 5})},
			want:     []result{{ID: 100, Total: 153}},
			toWrite:  []int{0},
			sold:     map[int32]int32{1: 1, 2: 3},
		},
		"rejects an unknown product": {
			requests: []OrderRequest{request(withLines(Line{9, 1}))},
			snapshot: Snapshot{Products: hoodie(1)},
			want:     []result{{Reason: "product_not_found", Request: "r"}},
			sold:     map[int32]int32{},
		},
		"replays the first outcome for a repeated key": {
			requests: []OrderRequest{request(withKey("k"))},
			snapshot: Snapshot{Products: hoodie(0), Records: map[IdempotencyKey]IdempotencyRecord{{1, "k"}: earlier}},
			want:     []result{{ID: 7, Total: 100, Replayed: true}},
			sold:     map[int32]int32{},
		},
		"rejects a key reused for another order": {
			requests: []OrderRequest{request(withKey("k"), withLines(Line{1, 2}))},
			snapshot: Snapshot{Products: hoodie(9), Records: map[IdempotencyKey]IdempotencyRecord{{1, "k"}: earlier}},
			want:     []result{{Reason: "idempotency_key_reused"}},
			sold:     map[int32]int32{},
		},
		"a key belongs to its user": {
			requests: []OrderRequest{request(withKey("k"), byUser(2))},
			snapshot: Snapshot{Products: hoodie(1), Records: map[IdempotencyKey]IdempotencyRecord{{1, "k"}: earlier}},
			want:     []result{{ID: 100, Total: 19900}},
			toWrite:  []int{0},
			sold:     map[int32]int32{1: 1},
		},
		"replays a key repeated in the same batch": {
			requests: []OrderRequest{
				request(withKey("k")), request(withKey("k"), withRequestID("again")),
				request(withKey("k"), withLines(Line{1, 2})),
			},
			snapshot: Snapshot{Products: hoodie(9)},
			want: []result{
				{ID: 100, Total: 19900}, {ID: 100, Total: 19900, Replayed: true}, {Reason: "idempotency_key_reused"},
			},
			toWrite: []int{0},
			sold:    map[int32]int32{1: 1},
		},
		"replays a failure with the id of its first request": {
			requests: []OrderRequest{
				request(withKey("k"), withRequestID("first")), request(withKey("k"), withRequestID("second")),
			},
			snapshot: Snapshot{Products: hoodie(0)},
			want: []result{
				{Reason: "out_of_stock", Request: "first"}, {Reason: "out_of_stock", Request: "first", Replayed: true},
			},
			toWrite: []int{0},
			sold:    map[int32]int32{},
		},
		"rejects a deactivated account, even for a recorded key": {
			requests: []OrderRequest{request(), request(withKey("k")), request(byUser(2))},
			snapshot: Snapshot{
				Accounts: map[int32]*User{1: {ID: 1, SID: "s1"}, 2: {ID: 2, SID: "s1", Active: true}},
				Products: hoodie(9), Records: map[IdempotencyKey]IdempotencyRecord{{1, "k"}: earlier},
			},
			want:    []result{{Reason: "account_deactivated"}, {Reason: "account_deactivated"}, {ID: 102, Total: 19900}},
			toWrite: []int{2},
			sold:    map[int32]int32{1: 1},
		},
		"rejects a token of another store and of an unknown account": {
			requests: []OrderRequest{request(), request(byUser(2), withKey("k"))},
			snapshot: Snapshot{Accounts: map[int32]*User{1: {ID: 1, SID: "another", Active: true}}, Products: hoodie(9)},
			want:     []result{{Reason: "invalid_token"}, {Reason: "invalid_token"}},
			sold:     map[int32]int32{},
		},
		"rejects a key that another batch is working on": {
			requests: []OrderRequest{request(withKey("k")), request(byUser(2))},
			snapshot: Snapshot{Products: hoodie(1), InFlight: map[IdempotencyKey]bool{{1, "k"}: true}},
			want:     []result{{Reason: "idempotency_key_in_flight"}, {ID: 101, Total: 19900}},
			toWrite:  []int{1},
			sold:     map[int32]int32{1: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.snapshot.Accounts == nil {
				tt.snapshot.Accounts = everyone
			}
			tt.snapshot.OrderIDs, tt.snapshot.Now = []int64{100, 101, 102}, time.Unix(0, 0).UTC()
			d := Decide(tt.requests, tt.snapshot)
			if diff := cmp.Diff(tt.want, results(d)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.toWrite, d.ToWrite, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("indexes to write (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.sold, d.Sold); diff != "" {
				t.Errorf("sold (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzDecide checks that no more is sold than was in stock, and that every unit sold is in an
// order.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{1, 1, 2, 1, 1, 3}, int32(3))
	f.Fuzz(func(t *testing.T, input []byte, stock int32) {
		stock &= 0x7f
		products := productsByID(Product{ID: 0, Stock: stock}, Product{ID: 1, Stock: stock}, Product{ID: 2, Stock: stock})
		var requests []OrderRequest
		for i := 0; i+2 < len(input); i += 3 {
			r := request(byUser(int32(input[i]%3)+1), withLines(Line{int32(input[i+1] % 4), int32(input[i+2]%5) + 1}))
			if input[i]&1 == 1 {
				r.Key = string(input[i+1])
			}
			requests = append(requests, r)
		}
		accounts := map[int32]*User{1: {SID: "s1", Active: true}, 2: {SID: "s1", Active: true}, 3: {SID: "s1"}}
		d := Decide(requests, Snapshot{Accounts: accounts, Products: products, OrderIDs: make([]int64, len(requests))})
		inOrders := map[int32]int32{}
		for _, i := range d.ToWrite {
			for _, item := range d.Outcomes[i].Order.Items {
				inOrders[item.ProductID] += item.Quantity
			}
		}
		if diff := cmp.Diff(inOrders, d.Sold); diff != "" {
			t.Errorf("units in orders and units sold differ:\n%s", diff)
		}
		for id, n := range d.Sold {
			if n > stock {
				t.Errorf("sold %d of %d units of product %d", n, stock, id)
			}
		}
	})
}
