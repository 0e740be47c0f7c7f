package crowd

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"merchstore.io/merchstore/services/shoppers/client"
)

const (
	// mostRemembered bounds what a shopper keeps in mind of products and orders.
	mostRemembered = 50
	fullBasket     = 3
	// pageSize is small, so that there are pages to turn in a small store.
	pageSize = "4"
)

// shopper buys what the merchant sells, and looks at everything.
type shopper struct {
	*person

	shelf  *shelf
	habits []habit

	cursor    string           // of the next page
	seen      []product        // on the last page
	etags     map[int32]string // of products that were looked at
	basket    []line           // each product once
	orders    []int64          // placed and not cancelled, as far as known
	cancelled int64            // order, the last one; 0: none
	last      *order           // answered
	open      *order           // not answered: it is sent again
}

type (
	line struct {
		ProductID int32 `json:"product_id"`
		Quantity  int   `json:"quantity"`
	}
	order struct {
		Items []line `json:"items"`
		key   string
		tries int
	}
)

func newShopper(p *person, goods *shelf) *shopper {
	return &shopper{person: p, shelf: goods, habits: newHabits(), etags: map[int32]string{}}
}

// habit is something that shoppers do, and how often beside the other things.
type habit struct {
	weight int
	do     func(*shopper, context.Context) error
}

// newHabits says what shoppers are like. Weights are in percent.
func newHabits() []habit {
	return []habit{
		{22, (*shopper).browse},
		{9, (*shopper).search},
		{22, (*shopper).look},
		{8, (*shopper).lookAtPicture},
		{14, (*shopper).fillBasket},
		{11, (*shopper).order},
		{2, (*shopper).orderTwice},
		{2, (*shopper).wantTheRare},
		{2, (*shopper).cancel},
		{4, (*shopper).lookAtOrders},
		{2, (*shopper).mistype},
		{2, (*shopper).mistypePassword},
	}
}

// act does one thing, with at least one request, so that nobody is busy without a pause.
func (s *shopper) act(ctx context.Context) error {
	if s.open != nil {
		return s.place(ctx, "order", *s.open)
	}
	total := 0
	for _, h := range s.habits {
		total += h.weight
	}
	chance := mathrand.IntN(total)
	for _, h := range s.habits {
		if chance -= h.weight; chance < 0 {
			return h.do(s, ctx)
		}
	}
	return s.browse(ctx)
}

func (s *shopper) browse(ctx context.Context) error {
	query := url.Values{"limit": {pageSize}}
	if s.cursor != "" {
		query.Set("cursor", s.cursor)
	} else if mathrand.IntN(4) == 0 {
		query.Set("category", pick([]string{"clothing", "accessories", "home", "stationery"}))
	}
	return s.see(ctx, "browse", query)
}

func (s *shopper) search(ctx context.Context) error {
	return s.see(ctx, "search", url.Values{"q": {pick([]string{"cap", "bag", "steel", "pin", "SUSTech", "hoodie", "书"})}})
}

func (s *shopper) see(ctx context.Context, action string, query url.Values) error {
	s.cursor = ""
	a, err := s.get(ctx, action, "/api/v1/products?"+query.Encode())
	if err != nil || a.Outcome != client.Done {
		return err
	}
	found, err := read[page](a)
	if err != nil {
		return err
	}
	if len(found.Products) > 0 {
		s.seen = found.Products[:min(len(found.Products), mostRemembered)]
	}
	s.cursor = found.NextCursor
	return nil
}

// look asks for a product, and half of the time only for what has changed since the last look.
func (s *shopper) look(ctx context.Context) error {
	if len(s.seen) == 0 {
		return s.browse(ctx)
	}
	_, _, err := s.lookAt(ctx, "look", pick(s.seen).ID, mathrand.IntN(2) == 0)
	return err
}

// lookAt says whether it has read the product; it has not if there is a copy, and the copy will do.
func (s *shopper) lookAt(ctx context.Context, action string, id int32, copyWillDo bool) (p product, ok bool, err error) {
	r := client.Request{Action: action, Method: http.MethodGet, Path: "/api/v1/products/" + strconv.Itoa(int(id))}
	if tag := s.etags[id]; tag != "" && copyWillDo {
		r.Header = map[string]string{"If-None-Match": tag}
	}
	a, err := s.send(ctx, r)
	if err != nil || a.Outcome != client.Done {
		return product{}, false, err
	}
	if len(s.etags) > mostRemembered {
		clear(s.etags)
	}
	s.etags[id] = a.Header.Get("ETag")
	p, err = read[product](a)
	return p, err == nil, err
}

func (s *shopper) lookAtPicture(ctx context.Context) error {
	pictured := slices.DeleteFunc(slices.Clone(s.seen), func(p product) bool { return !strings.HasPrefix(p.ImageURL, "/") })
	if len(pictured) == 0 {
		return s.browse(ctx)
	}
	_, err := s.get(ctx, "look_at_picture", pick(pictured).ImageURL)
	return err
}

func (s *shopper) lookAtOrders(ctx context.Context) error {
	_, err := s.get(ctx, "look_at_orders", "/api/v1/users/"+s.username()+"/orders?limit=20")
	return err
}

func pick[T any](from []T) T { return from[mathrand.IntN(len(from))] }

// newKey is an idempotency key that nobody else has.
func newKey() string { return rand.Text() }
