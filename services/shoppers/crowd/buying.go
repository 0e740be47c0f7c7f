package crowd

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"

	"merchstore.io/merchstore/services/shoppers/client"
)

// mostTries is how often an order is sent until its buyer gives up.
const mostTries = 10

// fillBasket looks at something that there is plenty of, and takes one or two.
func (s *shopper) fillBasket(ctx context.Context) error {
	id, ok := s.shelf.any()
	if !ok {
		return s.browse(ctx)
	}
	p, ok, err := s.lookAt(ctx, "fill_basket", id, false)
	if err != nil || !ok || p.Owner != s.shelf.owner() || p.Stock == 0 || len(s.basket) == fullBasket {
		return err
	}
	if !slices.ContainsFunc(s.basket, func(l line) bool { return l.ProductID == id }) {
		s.basket = append(s.basket, line{ProductID: id, Quantity: 1 + rand.IntN(2)})
	}
	return nil
}

// order buys what is in the basket.
func (s *shopper) order(ctx context.Context) error {
	if len(s.basket) == 0 {
		return s.fillBasket(ctx)
	}
	o := order{Items: s.basket, key: newKey()}
	s.basket = nil
	return s.place(ctx, "order", o)
}

// orderTwice sends an order again that was answered, as a browser does whose user is impatient.
func (s *shopper) orderTwice(ctx context.Context) error {
	if s.last == nil {
		return s.order(ctx)
	}
	return s.place(ctx, "order_twice", order{Items: s.last.Items, key: s.last.key})
}

// wantTheRare tries to buy what is mostly sold out.
func (s *shopper) wantTheRare(ctx context.Context) error {
	id, ok := s.shelf.rare()
	if !ok {
		return s.browse(ctx)
	}
	return s.place(ctx, "order_rare", order{Items: []line{{ProductID: id, Quantity: 1}}, key: newKey()})
}

// place orders. An order without a clear answer is kept, and sent again with its key, for as long as a buyer does that: it is placed
// at most once.
func (s *shopper) place(ctx context.Context, action string, o order) error {
	s.open = &o
	a, err := s.sendJSON(ctx, client.Request{
		Action: action, Method: http.MethodPost, Path: "/api/v1/orders", Header: map[string]string{"Idempotency-Key": o.key},
	}, o)
	o.tries++
	if answered := a.Final() && s.inside(); err != nil || (!answered && o.tries < mostTries) {
		return err
	}
	s.open = nil
	if a.Outcome != client.Done && a.Outcome != client.Replayed {
		return nil
	}
	s.last = &o
	placed, err := read[struct{ ID int64 }](a)
	if err == nil && !slices.Contains(s.orders, placed.ID) {
		s.orders = append(s.orders, placed.ID)
		s.orders = s.orders[max(0, len(s.orders)-mostRemembered):]
	}
	return err
}

// cancel gives an order back. Now and then it is the one that was cancelled before, which is refused.
func (s *shopper) cancel(ctx context.Context) error {
	if s.cancelled != 0 && rand.IntN(4) == 0 {
		_, err := s.giveBack(ctx, s.cancelled)
		return err
	}
	if len(s.orders) == 0 {
		return s.order(ctx)
	}
	i := rand.IntN(len(s.orders))
	a, err := s.giveBack(ctx, s.orders[i])
	if err == nil && a.Final() {
		s.cancelled = s.orders[i]
		s.orders = slices.Delete(s.orders, i, i+1)
	}
	return err
}

func (s *shopper) giveBack(ctx context.Context, order int64) (client.Answer, error) {
	return s.post(ctx, "cancel", "/api/v1/orders/"+strconv.FormatInt(order, 10)+"/cancel", nil)
}
