package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/valyala/fasthttp"
)

// orders measures orders through the whole stack in groups, in groups of one, and with pgbench.
func (b *bench) orders(ctx context.Context) error {
	r, err := pgbench(ctx, b.server.URL("pgbench"), b.dir, duration)
	if err != nil {
		return err
	}
	b.report.rate("orders, pgbench, one transaction each, 32 clients", r)
	if r, err = b.placeOrders(ctx, false); err != nil {
		return err
	}
	b.report.rate("orders, whole stack, in groups, 64 clients", r)
	if r, err = b.placeOrders(ctx, true); err != nil {
		return err
	}
	b.report.rate("orders, whole stack, in groups, with idempotency keys", r)
	if err := b.programs.stop("db"); err != nil {
		return err
	}
	if err := b.startDB(ctx, "ORDER_BATCH_SIZE=1"); err != nil {
		return err
	}
	if r, err = b.placeOrders(ctx, false); err != nil {
		return err
	}
	b.report.rate("orders, whole stack, groups of one", r)
	if err := b.programs.stop("db"); err != nil {
		return err
	}
	return b.startDB(ctx)
}

func (b *bench) placeOrders(ctx context.Context, withKeys bool) (result, error) {
	return b.load(ctx, buyers, func(i int) (operation, error) {
		r := b.orderRequest("api", i)
		if withKeys {
			r.change = newKey
		}
		return r.do, nil
	})
}

func (b *bench) orderRequest(addr string, i int) *request {
	r := newRequest(b.addrs[addr], "POST", "/api/v1/orders", 201)
	r.token, r.body = b.users[i].token, fmt.Sprintf(`{"product_id":%d,"quantity":1}`, i%3+1)
	return r
}

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
