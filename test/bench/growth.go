package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"

	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/services/db/schema"
)

const (
	growthClients = 4
	growthTime    = 2 * time.Second
)

// smallStore is a thousandth of the largest store: pages are full, and all else is nearly empty.
var smallStore = size{products: 200, accounts: 500, orders: 2_000}

// endpoint is an endpoint of the growing stores. path is called for each request.
type endpoint struct {
	name, method string
	status       int
	path         func(size) string
	body         string
	change       func(*fasthttp.Request)
}

// growth measures each endpoint of four stores side by side, each of which has ten times as many rows
// as the one before. In the largest it also measures orders beside searches, and while the idempotency
// keys are deleted, all of which have expired.
func (b *bench) growth(ctx context.Context) (err error) {
	var sizes []size
	for n := 1; n <= 1000; n *= 10 {
		sizes = append(sizes, smallStore.times(n*b.scale))
	}
	admin, err := b.keys.Sign(token.Account{ID: b.users[0].id, SID: b.users[0].sid, Username: b.users[0].username, Role: token.RoleAdmin}, time.Hour)
	if err != nil {
		return err
	}
	url := func(i int) string { return b.server.URL(fmt.Sprint("growth", i)) }
	for i, s := range sizes {
		if _, err := makeDatabase(ctx, b.server, fmt.Sprint("growth", i), schema.Migrate); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.stopStack(of(i))) }()
		if err := b.startStack(ctx, of(i), "DATABASE_URL="+url(i)); err != nil {
			return err
		}
		start := time.Now() // after the DB service's clean-up of the day
		if err := fill(ctx, url(i), s); err != nil {
			return err
		}
		signUp := newRequest(b.addrs["api"+of(i)], "POST", "/api/signup", 201)
		signUp.body = `{"username":"returning","password":"password123"}`
		if err := signUp.do(); err != nil {
			return err
		}
		b.report.note("filled with %d products, %d accounts, %d orders and keys in %.0f s", s.products, s.accounts, s.orders, time.Since(start).Seconds())
	}
	b.report.note("| p50 / p99 in ms, %d clients | %d orders | %d | %d | %d |\n|---|---|---|---|---|",
		growthClients, sizes[0].orders, sizes[1].orders, sizes[2].orders, sizes[3].orders)
	for _, e := range b.endpoints(admin) {
		row := "| " + e.name
		for i, s := range sizes {
			clients := b.clients(e, i, s, growthClients)
			runLoad(ctx, clients, growthTime/4) // warm-up
			row += " | " + milliseconds(runLoad(ctx, clients, growthTime))
		}
		b.report.note("%s |", row)
	}
	largest := len(sizes) - 1
	if err := b.ordersBeside(ctx, largest, sizes[largest]); err != nil {
		return err
	}
	return b.ordersWhileCleaning(ctx, largest, sizes[largest], url(largest))
}

// endpoints returns what is measured of the growing stores.
func (b *bench) endpoints(admin string) []endpoint {
	var created, cancelled atomic.Int64
	asAdmin := func(r *fasthttp.Request) { r.Header.Set("Authorization", "Bearer "+admin) }
	get := func(name, path string) endpoint {
		return endpoint{name: name, method: "GET", status: 200, path: func(size) string { return path }}
	}
	adminGet := func(name, path string) endpoint {
		e := get(name, path)
		e.change = asAdmin
		return e
	}
	product := func(s size) string { return fmt.Sprint("/api/v1/products/", 4+rand.IntN(s.products)) }
	search := func(name, query string) endpoint { return get("search: "+name, "/api/v1/products?q="+query) }
	return []endpoint{
		{name: "product by id", method: "GET", status: 200, path: product},
		get("first page of products", "/api/v1/products"),
		search("a rare word", "astrolabe"), search("a common word", "campus"), search("no product", "zeppelin"),
		search("one letter", "e"), search("two common Chinese characters", "%E5%B8%BD%E5%AD%90"),
		search("two rare Chinese characters", "%E6%98%9F%E7%9B%98"), search("a wildcard", "%25"), search("two words", "campus+astrolabe"),
		get("category: rare", "/api/v1/products?category=lanterns"), get("category: common", "/api/v1/products?category=category+7"),
		get("rare word of a category", "/api/v1/products?category=lanterns&q=astrolabe"), get("categories", "/api/v1/categories"),
		get("own orders", "/api/v1/orders"), adminGet("admin: all orders", "/api/v1/orders"), adminGet("admin: all users", "/api/v1/users"),
		{name: "admin: order by id", method: "GET", status: 200, change: asAdmin, path: func(s size) string {
			return fmt.Sprint("/api/v1/orders/", 1+rand.IntN(s.orders))
		}},
		adminGet("admin: user", "/api/v1/users/g77"), adminGet("admin: a user's orders", "/api/v1/users/g77/orders"),
		get("seller: sales", "/api/v1/sales"), adminGet("admin: sales", "/api/v1/sales"), get("items", "/api/items"),
		{
			name: "order with a key", method: "POST", status: 201, change: newKey, body: `{"product_id":1,"quantity":1}`,
			path: func(size) string { return "/api/v1/orders" },
		},
		{
			name: "the same order again", method: "POST", status: 201, body: `{"product_id":1,"quantity":1}`,
			change: func(r *fasthttp.Request) { r.Header.Set("Idempotency-Key", "again") },
			path:   func(size) string { return "/api/v1/orders" },
		},
		{name: "cancellation", method: "POST", status: 200, change: asAdmin, path: func(size) string {
			return fmt.Sprintf("/api/v1/orders/%d/cancel", 1+cancelled.Add(1))
		}},
		{
			name: "new product", method: "POST", status: 201, body: `{"name":"Mug","price":9.99,"stock":3,"category":"category 7"}`,
			path: func(size) string { return "/api/v1/products" },
		},
		{name: "change of a product", method: "PATCH", status: 200, change: asAdmin, path: product, body: `{"slogan":"New"}`},
		{
			name: "sign-up", method: "POST", status: 201, path: func(size) string { return "/api/v1/users/create" },
			change: func(r *fasthttp.Request) {
				n := created.Add(1)
				r.SetBodyString(fmt.Sprintf(`{"username":"new%d","email":"new%d@example.com","password":"password123"}`, n, n))
			},
			body: "{}",
		},
		{
			name: "login", method: "POST", status: 200, path: func(size) string { return "/api/v1/users/login" },
			body: `{"username":"returning","password":"password123"}`,
		},
	}
}

// clients returns the operations of n clients, each a buyer, that use an endpoint of a stack.
func (b *bench) clients(e endpoint, stack int, s size, n int) []operation {
	var clients []operation
	for i := range n {
		addr := b.addrs["api"+of(stack)]
		r := newRequest(addr, e.method, e.path(s), e.status)
		r.token, r.body = b.users[1+i].token, e.body
		r.change = func(request *fasthttp.Request) {
			request.SetRequestURI("http://" + addr + e.path(s))
			if e.change != nil {
				e.change(request)
			}
		}
		clients = append(clients, r.do)
	}
	return clients
}

func milliseconds(r result) string {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	text := fmt.Sprintf("%.1f / %.1f", ms(r.p50), ms(r.p99))
	if r.failed > 0 {
		text += fmt.Sprintf(" (%d of %d failed: %v)", r.failed, r.failed+r.done, r.firstErr)
	}
	return text
}

// clientsOf returns n clients of each endpoint whose name begins with prefix.
func (b *bench) clientsOf(prefix string, stack int, s size, n int) (clients []operation) {
	for _, e := range b.endpoints("") {
		if strings.HasPrefix(e.name, prefix) {
			clients = append(clients, b.clients(e, stack, s, n)...)
		}
	}
	return clients
}

// ordersBeside measures orders alone and beside searchers.
func (b *bench) ordersBeside(ctx context.Context, stack int, s size) error {
	orders, searches := b.clientsOf("order with a key", stack, s, growthClients), b.clientsOf("search", stack, s, 2)
	b.report.note("orders alone: %s ms", milliseconds(runLoad(ctx, orders, 3*growthTime)))
	searching, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var found result
	wg.Go(func() { found = runLoad(searching, searches, time.Minute) })
	runLoad(ctx, orders, growthTime/2)
	beside := runLoad(ctx, orders, 3*growthTime)
	stop()
	wg.Wait()
	b.report.note("orders beside %d searchers: %s ms; the searches: %s ms", len(searches), milliseconds(beside), milliseconds(found))
	return ctx.Err()
}

// ordersWhileCleaning measures orders while the clean-up job deletes the expired keys.
func (b *bench) ordersWhileCleaning(ctx context.Context, stack int, s size, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	orders := b.clientsOf("order with a key", stack, s, growthClients)
	b.report.note("orders before the clean-up: %s ms", milliseconds(runLoad(ctx, orders, 3*growthTime)))
	var job int64
	err = conn.QueryRow(ctx, `INSERT INTO river_job (kind, args) VALUES ('clean_up', '{}') RETURNING id`).Scan(&job)
	if err != nil {
		return fmt.Errorf("start the clean-up: %w", err)
	}
	start := time.Now()
	cleaning, stop := context.WithTimeout(ctx, 10*time.Minute)
	defer stop()
	var wg sync.WaitGroup
	var during result
	wg.Go(func() { during = runLoad(cleaning, orders, time.Hour) })
	for state := ""; state != "completed"; {
		if err := errors.Join(pause(cleaning, 200*time.Millisecond), conn.QueryRow(ctx, `SELECT state FROM river_job WHERE id = $1`, job).Scan(&state)); err != nil {
			return fmt.Errorf("await the clean-up: %w", err)
		}
	}
	took := time.Since(start)
	stop()
	wg.Wait()
	b.report.note("orders while %d keys were deleted, in %.0f s: %s ms", s.orders, took.Seconds(), milliseconds(during))
	return ctx.Err()
}
