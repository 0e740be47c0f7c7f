package users

import (
	"context"
	"math/rand/v2"
)

// weightedAction is an action of a customer and its relative frequency.
type weightedAction struct {
	weight int
	do     func(*customer, context.Context) error
}

// profile returns the mix of a customer's actions. Weights are percentages.
func profile() []weightedAction {
	return []weightedAction{
		{22, (*customer).listProducts},
		{9, (*customer).searchProducts},
		{22, (*customer).viewProduct},
		{8, (*customer).viewImage},
		{14, (*customer).addToBasket},
		{11, (*customer).orderBasket},
		{2, (*customer).repeatOrder},
		{2, (*customer).orderScarce},
		{2, (*customer).cancelOrder},
		{4, (*customer).listOrders},
		{2, (*customer).sendInvalidRequest},
		{2, (*customer).mistypePassword},
	}
}

// act runs one action. Each sends at least one request, so the rate limiter bounds the loop.
func (c *customer) act(ctx context.Context) error {
	if c.pending != nil {
		return c.place(ctx, "order", *c.pending)
	}
	total := 0
	for _, a := range c.profile {
		total += a.weight
	}
	n := rand.IntN(total)
	for _, a := range c.profile {
		if n -= a.weight; n < 0 {
			return a.do(c, ctx)
		}
	}
	return c.listProducts(ctx)
}
