package main

import (
	"context"
	"errors"
	"fmt"

	"merchstore.io/merchstore/test/valkey"
)

// cache measures orders and reads of two stores, one with a cache and one without, in turns. Each
// has two replicas of every service, and half of the clients call either API.
func (b *bench) cache(ctx context.Context) (err error) {
	server, err := valkey.Open(ctx, b.dir)
	if err != nil {
		return fmt.Errorf("start the cache: %w", err)
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	const second = "-second"
	names := []string{"two DB services without a cache", "two DB services with the cache"}
	for i, env := range [][]string{nil, {"CACHE_URL=" + server.URL()}} {
		for _, half := range []string{"", second} {
			if err := b.startStack(ctx, of(i)+half, env...); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, b.stopStack(of(i)+half)) }()
		}
	}
	halved := func(newRequest func(addr string, i int) *request) func(int, int) *request {
		return func(variant, i int) *request {
			addr := "api" + of(variant)
			if i%2 == 1 {
				addr += second
			}
			return newRequest(addr, i)
		}
	}
	if err := b.takeTurns(ctx, "orders", names, halved(b.orderRequest)); err != nil {
		return err
	}
	return b.takeTurns(ctx, "reads", names, halved(b.readRequest))
}
