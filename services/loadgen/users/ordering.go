package users

import (
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"

	"merchstore.io/merchstore/services/loadgen/client"
)

// maxOrderAttempts is how often an order is sent before the customer abandons it.
const maxOrderAttempts = 10

type order struct {
	Items    []orderLine `json:"items"`
	key      string      // idempotency key
	attempts int
}

type orderLine struct {
	ProductID int32 `json:"product_id"`
	Quantity  int   `json:"quantity"`
}

func newOrder(lines ...orderLine) order { return order{Items: lines, key: crand.Text()} }

func (c *customer) orderBasket(ctx context.Context) error {
	if len(c.basket) == 0 {
		return c.addToBasket(ctx)
	}
	o := newOrder(c.basket...)
	c.basket = nil
	return c.place(ctx, "order", o)
}

// repeatOrder sends an answered order again with its idempotency key, as a browser does after a
// double click.
func (c *customer) repeatOrder(ctx context.Context) error {
	if c.last == nil {
		return c.orderBasket(ctx)
	}
	return c.place(ctx, "repeat_order", order{Items: c.last.Items, key: c.last.key})
}

// orderScarce orders the product that is mostly out of stock.
func (c *customer) orderScarce(ctx context.Context) error {
	id, ok := c.listings.scarceProduct()
	if !ok {
		return c.listProducts(ctx)
	}
	return c.place(ctx, "order_scarce", newOrder(orderLine{ProductID: id, Quantity: 1}))
}

// place sends an order. Without a final response it stays pending and is sent again with the same
// idempotency key, so it is placed at most once.
func (c *customer) place(ctx context.Context, action string, o order) error {
	c.pending = &o
	r, err := c.sendJSON(ctx, client.Request{
		Action: action, Method: http.MethodPost, Path: "/api/v1/orders", Header: map[string]string{"Idempotency-Key": o.key},
	}, o)
	o.attempts++
	if answered := r.Final() && c.loggedIn(); err != nil || (!answered && o.attempts < maxOrderAttempts) {
		return err
	}
	c.pending = nil
	if r.Outcome != client.Success && r.Outcome != client.Replayed {
		return nil
	}
	c.last = &o
	placed, err := decode[struct{ ID int64 }](r)
	if err == nil && !slices.Contains(c.orders, placed.ID) {
		c.orders = append(c.orders, placed.ID)
		c.orders = c.orders[max(0, len(c.orders)-maxRemembered):]
	}
	return err
}

// cancelOrder cancels an order, or now and then one that is cancelled already, which is rejected.
func (c *customer) cancelOrder(ctx context.Context) error {
	if c.cancelled != 0 && rand.IntN(4) == 0 {
		_, err := c.cancel(ctx, c.cancelled)
		return err
	}
	if len(c.orders) == 0 {
		return c.orderBasket(ctx)
	}
	i := rand.IntN(len(c.orders))
	r, err := c.cancel(ctx, c.orders[i])
	if err == nil && r.Final() {
		c.cancelled = c.orders[i]
		c.orders = slices.Delete(c.orders, i, i+1)
	}
	return err
}

func (c *customer) cancel(ctx context.Context, order int64) (client.Response, error) {
	return c.post(ctx, "cancel_order", "/api/v1/orders/"+strconv.FormatInt(order, 10)+"/cancel", nil)
}

func (c *customer) listOrders(ctx context.Context) error {
	_, err := c.get(ctx, "list_orders", "/api/v1/users/"+c.username()+"/orders?limit=20")
	return err
}
