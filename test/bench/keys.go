package main

import (
	"context"
	"crypto/rand"

	"github.com/valyala/fasthttp"
)

// newKey adds an idempotency key that no other request has.
func newKey(r *fasthttp.Request) { r.Header.Set("Idempotency-Key", rand.Text()) }

// orderKeys measures orders without and with idempotency keys, in turns.
func (b *bench) orderKeys(ctx context.Context) error {
	return b.takeTurns(ctx, "orders", []string{"without keys", "with keys"}, func(variant, client int) *request {
		r := b.orderRequest("api", client)
		if variant == 1 {
			r.change = newKey
		}
		return r
	})
}
