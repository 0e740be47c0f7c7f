package shop

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"merchstore.io/merchstore/internal/failure"
)

// buyer builds a Placement of one piece of product 1 by user 1, unless told otherwise.
func buyer(change ...func(*Placement)) Placement {
	p := Placement{UserID: 1, UserSID: "s1", Lines: []Line{{ProductID: 1, Quantity: 1}}, RequestID: "r"}
	for _, c := range change {
		c(&p)
	}
	p.Hash = hashLines(p.Lines)
	return p
}

func wants(lines ...Line) func(*Placement) { return func(p *Placement) { p.Lines = lines } }
func withKey(key string) func(*Placement)  { return func(p *Placement) { p.Key = key } }
func byUser(id int32) func(*Placement)     { return func(p *Placement) { p.UserID = id } }
func asRequest(id string) func(*Placement) { return func(p *Placement) { p.RequestID = id } }
func hoodie(stock int32) map[int32]*Product {
	return shelfOf(Product{ID: 1, Name: "Hoodie", Price: 19900, Stock: stock})
}

func shelfOf(products ...Product) map[int32]*Product {
	m := map[int32]*Product{}
	for _, p := range products {
		m[p.ID] = &p
	}
	return m
}

// verdict is an Outcome in a word: the order's id and total, or the reason against it.
type verdict struct {
	ID       int64
	Total    int64
	Reason   failure.Reason
	Request  string
	Replayed bool
}

func verdicts(d Decision) []verdict {
	var vs []verdict
	for _, o := range d.Outcomes {
		v := verdict{ID: o.Order.ID, Total: int64(o.Order.Total), Replayed: o.Replayed}
		if o.Failure != nil {
			v.Reason, v.Request = o.Failure.Reason, o.Failure.RequestID
		}
		vs = append(vs, v)
	}
	return vs
}

func TestDecide(t *testing.T) {
	earlier := Answer{Hash: hashLines([]Line{{1, 1}}), Outcome: Outcome{Order: Order{ID: 7, Total: 100}}}
	everyone := map[int32]*User{1: {ID: 1, SID: "s1", Active: true}, 2: {ID: 2, SID: "s1", Active: true}}
	for name, tt := range map[string]struct {
		placements []Placement
		shelf      Shelf
		want       []verdict
		fresh      []int
		sold       map[int32]int32
	}{
		"the last piece goes to the first who came": {
			placements: []Placement{buyer(), buyer(byUser(2), asRequest("late"))},
			shelf:      Shelf{Products: hoodie(1)},
			want:       []verdict{{ID: 100, Total: 19900}, {Reason: "out_of_stock", Request: "late"}},
			fresh:      []int{0},
			sold:       map[int32]int32{1: 1},
		},
		"who wants too many takes nothing from those behind": {
			placements: []Placement{buyer(wants(Line{1, 3})), buyer(wants(Line{1, 2}))},
			shelf:      Shelf{Products: hoodie(2)},
			want:       []verdict{{Reason: "out_of_stock", Request: "r"}, {ID: 101, Total: 39800}},
			fresh:      []int{1},
			sold:       map[int32]int32{1: 2},
		},
		"an order is had whole or not at all": {
			placements: []Placement{buyer(wants(Line{1, 1}, Line{2, 1}))},
			shelf:      Shelf{Products: shelfOf(Product{ID: 1, Stock: 5}, Product{ID: 2, Stock: 0})},
			want:       []verdict{{Reason: "out_of_stock", Request: "r"}},
			sold:       map[int32]int32{},
		},
		"an order of several products adds up": {
			placements: []Placement{buyer(wants(Line{2, 3}, Line{1, 1}))},
			shelf:      Shelf{Products: shelfOf(Product{ID: 1, Price: 150, Stock: 5}, Product{ID: 2, Price: 1, Stock: 5})},
			want:       []verdict{{ID: 100, Total: 153}},
			fresh:      []int{0},
			sold:       map[int32]int32{1: 1, 2: 3},
		},
		"a product that is not there is said by its number": {
			placements: []Placement{buyer(wants(Line{9, 1}))},
			shelf:      Shelf{Products: hoodie(1)},
			want:       []verdict{{Reason: "product_not_found", Request: "r"}},
			sold:       map[int32]int32{},
		},
		"a key that was answered is answered the same": {
			placements: []Placement{buyer(withKey("k"))},
			shelf:      Shelf{Products: hoodie(0), Answers: map[Key]Answer{{1, "k"}: earlier}},
			want:       []verdict{{ID: 7, Total: 100, Replayed: true}},
			sold:       map[int32]int32{},
		},
		"a key that was answered for another order is refused": {
			placements: []Placement{buyer(withKey("k"), wants(Line{1, 2}))},
			shelf:      Shelf{Products: hoodie(9), Answers: map[Key]Answer{{1, "k"}: earlier}},
			want:       []verdict{{Reason: "idempotency_key_reused"}},
			sold:       map[int32]int32{},
		},
		"somebody else's key is another key": {
			placements: []Placement{buyer(withKey("k"), byUser(2))},
			shelf:      Shelf{Products: hoodie(1), Answers: map[Key]Answer{{1, "k"}: earlier}},
			want:       []verdict{{ID: 100, Total: 19900}},
			fresh:      []int{0},
			sold:       map[int32]int32{1: 1},
		},
		"the same key twice in a group buys once": {
			placements: []Placement{buyer(withKey("k")), buyer(withKey("k"), asRequest("again")), buyer(withKey("k"), wants(Line{1, 2}))},
			shelf:      Shelf{Products: hoodie(9)},
			want: []verdict{
				{ID: 100, Total: 19900}, {ID: 100, Total: 19900, Replayed: true}, {Reason: "idempotency_key_reused"},
			},
			fresh: []int{0},
			sold:  map[int32]int32{1: 1},
		},
		"a failure under a key is kept, and replayed with the request that failed first": {
			placements: []Placement{buyer(withKey("k"), asRequest("first")), buyer(withKey("k"), asRequest("second"))},
			shelf:      Shelf{Products: hoodie(0)},
			want: []verdict{
				{Reason: "out_of_stock", Request: "first"}, {Reason: "out_of_stock", Request: "first", Replayed: true},
			},
			fresh: []int{0},
			sold:  map[int32]int32{},
		},
		"who is deactivated buys nothing, not even with a key that was answered": {
			placements: []Placement{buyer(), buyer(withKey("k")), buyer(byUser(2))},
			shelf: Shelf{
				Accounts: map[int32]*User{1: {ID: 1, SID: "s1"}, 2: {ID: 2, SID: "s1", Active: true}},
				Products: hoodie(9), Answers: map[Key]Answer{{1, "k"}: earlier},
			},
			want:  []verdict{{Reason: "account_deactivated"}, {Reason: "account_deactivated"}, {ID: 102, Total: 19900}},
			fresh: []int{2},
			sold:  map[int32]int32{1: 1},
		},
		"a token of another store, or of nobody, buys nothing": {
			placements: []Placement{buyer(), buyer(byUser(2), withKey("k"))},
			shelf:      Shelf{Accounts: map[int32]*User{1: {ID: 1, SID: "another", Active: true}}, Products: hoodie(9)},
			want:       []verdict{{Reason: "invalid_token"}, {Reason: "invalid_token"}},
			sold:       map[int32]int32{},
		},
		"a key that another group works on is in flight": {
			placements: []Placement{buyer(withKey("k")), buyer(byUser(2))},
			shelf:      Shelf{Products: hoodie(1), Busy: map[Key]bool{{1, "k"}: true}},
			want:       []verdict{{Reason: "idempotency_key_in_flight"}, {ID: 101, Total: 19900}},
			fresh:      []int{1},
			sold:       map[int32]int32{1: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.shelf.Accounts == nil {
				tt.shelf.Accounts = everyone
			}
			tt.shelf.IDs, tt.shelf.Now = []int64{100, 101, 102}, time.Unix(0, 0).UTC()
			d := Decide(tt.placements, tt.shelf)
			if diff := cmp.Diff(tt.want, verdicts(d)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.fresh, d.Fresh, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("to write (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.sold, d.Sold); diff != "" {
				t.Errorf("sold (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzDecide: whatever is asked, no more is sold than there was, and all that is sold is in an order.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{1, 1, 2, 1, 1, 3}, int32(3))
	f.Fuzz(func(t *testing.T, asked []byte, stock int32) {
		stock &= 0x7f
		products := shelfOf(Product{ID: 0, Stock: stock}, Product{ID: 1, Stock: stock}, Product{ID: 2, Stock: stock})
		var placements []Placement
		for i := 0; i+2 < len(asked); i += 3 {
			p := buyer(byUser(int32(asked[i]%3)+1), wants(Line{int32(asked[i+1] % 4), int32(asked[i+2]%5) + 1}))
			if asked[i]&1 == 1 {
				p.Key = string(asked[i+1])
			}
			placements = append(placements, p)
		}
		accounts := map[int32]*User{1: {SID: "s1", Active: true}, 2: {SID: "s1", Active: true}, 3: {SID: "s1"}}
		d := Decide(placements, Shelf{Accounts: accounts, Products: products, IDs: make([]int64, len(placements))})
		inOrders := map[int32]int32{}
		for _, i := range d.Fresh {
			for _, item := range d.Outcomes[i].Order.Items {
				inOrders[item.ProductID] += item.Quantity
			}
		}
		if diff := cmp.Diff(inOrders, d.Sold); diff != "" {
			t.Errorf("in orders and sold differ:\n%s", diff)
		}
		for id, n := range d.Sold {
			if n > stock {
				t.Errorf("sold %d of %d pieces of product %d", n, stock, id)
			}
		}
	})
}
