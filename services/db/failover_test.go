package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/database"
)

// failoverLimit is the maximum time until an order is placed after the new primary is reachable.
const failoverLimit = 5 * time.Second

// TestOrdersContinueAfterFailover fails over to a standby under one stable name for the database,
// like that of a Kubernetes Service, in each way in which PostgreSQL operators leave the old
// primary.
func TestOrdersContinueAfterFailover(t *testing.T) {
	for name, tt := range map[string]struct {
		fail    func(t *testing.T, primary *pgserver.Server, g *gateway)
		restore func(primary *pgserver.Server, g *gateway)
	}{
		"the old primary hangs": {
			func(_ *testing.T, primary *pgserver.Server, _ *gateway) { primary.Pause() },
			func(primary *pgserver.Server, _ *gateway) { primary.Resume() },
		},
		"packets to the old primary are dropped": {
			func(_ *testing.T, primary *pgserver.Server, g *gateway) { g.drop(primary, true) },
			func(primary *pgserver.Server, g *gateway) { g.drop(primary, false) },
		},
		"the old primary is read-only": {
			func(t *testing.T, primary *pgserver.Server, _ *gateway) {
				t.Helper()
				admin := database.Connect(t, primary.URL("postgres"))
				for _, sql := range []string{`ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`} {
					if _, err := admin.Exec(t.Context(), sql); err != nil {
						t.Fatal(err)
					}
				}
			},
			func(*pgserver.Server, *gateway) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			primary, standby := database.StartPair(t)
			if err := schema.Migrate(t.Context(), primary.URL("postgres")); err != nil {
				t.Fatal(err)
			}
			g := openGateway(t, primary)
			// River may wait ten seconds for a job's row on a connection that was lost, before it tries again.
			s := startOn(t, g.url(t, primary), func(s *Settings) { s.Process.ShutdownTimeout = time.Minute })
			customers := startCustomers(t, s, 8)
			customers.await(t, "orders before the failover", time.Minute)

			tt.fail(t, primary, g)
			database.Promote(t, standby)
			g.routeTo(standby)
			reachable := time.Now()
			customers.await(t, "orders on the new primary", failoverLimit)
			t.Logf("an order was placed %s after the new primary became reachable", time.Since(reachable).Round(time.Millisecond))
			waitFor(t, "readiness", s.ready)

			tt.restore(primary, g)
			for range 30 {
				customers.await(t, "orders after the old primary came back", failoverLimit)
			}
			conn := database.Connect(t, standby.URL("postgres"))
			for key, id := range customers.stop() {
				if n := database.Ask[int](t, conn, `SELECT count(*) FROM idempotency_keys WHERE key = $1 AND order_id = $2`, key, id); n != 1 {
					t.Errorf("order %d with the key %s is not on the new primary", id, key)
				}
			}
		})
	}
}

// customers place orders one after the other, and repeat an order with its key until it succeeds.
type customers struct {
	end    context.CancelFunc
	all    sync.WaitGroup
	placed chan struct{}

	mu     sync.Mutex
	orders map[string]int64
}

func startCustomers(t *testing.T, s *service, n int) *customers {
	t.Helper()
	buyer := s.signUp("buyer")
	hoodie := s.product(buyer, 1_000_000)
	ctx, cancel := context.WithCancel(buyer.ctx)
	c := &customers{end: cancel, placed: make(chan struct{}), orders: map[string]int64{}}
	for i := range n {
		c.all.Go(func() {
			for j := 0; ctx.Err() == nil; j++ {
				c.placeOrder(ctx, t, s, hoodie, fmt.Sprintf("%d-%d", i, j))
			}
		})
	}
	t.Cleanup(func() { c.stop() })
	return c
}

// placeOrder repeats an order until it succeeds. It pauses after each attempt to keep the load low.
func (c *customers) placeOrder(ctx context.Context, t *testing.T, s *service, p *merchstorev1.Product, key string) {
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for placed := false; !placed && ctx.Err() == nil; {
		r, err := s.PlaceOrder(ctx, order(key, line(p, 1)))
		switch why := reason(err); {
		case err == nil:
			placed = true
			c.mu.Lock()
			c.orders[key] = r.GetOrder().GetId()
			c.mu.Unlock()
			select {
			case c.placed <- struct{}{}:
			default:
			}
		case ctx.Err() == nil && why != "unavailable" && why != "idempotency_key_in_flight":
			t.Errorf("order %s: %v", key, err)
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// await waits until an order is placed.
func (c *customers) await(t *testing.T, what string, limit time.Duration) {
	t.Helper()
	select {
	case <-c.placed:
	case <-time.After(limit):
		t.Fatalf("waited %s for %s", limit, what)
	}
}

// stop stops the customers and returns their orders by key.
func (c *customers) stop() map[string]int64 {
	c.end()
	c.all.Wait()
	return c.orders
}

// gateway forwards each new connection to the current target, as kube-proxy does.
type gateway struct {
	listener net.Listener
	target   atomic.Pointer[route]

	mu     sync.Mutex
	routes map[*pgserver.Server]*route
}

// route is the path to one server.
type route struct {
	addr    string
	dropped atomic.Bool
}

func openGateway(t *testing.T, first *pgserver.Server) *gateway {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{listener: l, routes: map[*pgserver.Server]*route{}}
	g.routeTo(first)
	var work sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	work.Go(func() {
		for {
			client, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				work.Go(func() { forward(ctx, client, g.target.Load()) })
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		work.Wait()
	})
	return g
}

func (g *gateway) route(server *pgserver.Server) *route {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.routes[server] == nil {
		g.routes[server] = &route{addr: fmt.Sprintf("127.0.0.1:%d", server.Port())}
	}
	return g.routes[server]
}

// routeTo forwards new connections to server. Existing ones stay.
func (g *gateway) routeTo(server *pgserver.Server) { g.target.Store(g.route(server)) }

// drop discards everything sent to and from server.
func (g *gateway) drop(server *pgserver.Server, dropped bool) { g.route(server).dropped.Store(dropped) }

// url returns the URL of the server by way of the gateway.
func (g *gateway) url(t *testing.T, server *pgserver.Server) string {
	t.Helper()
	u, err := url.Parse(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = g.listener.Addr().String()
	return u.String()
}

func forward(ctx context.Context, client net.Conn, r *route) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })()
	var both sync.WaitGroup
	for to, from := range map[net.Conn]net.Conn{client: server, server: client} {
		both.Go(func() {
			buffer := make([]byte, 32<<10)
			for {
				n, err := from.Read(buffer)
				if r.dropped.Load() {
					n = 0
				}
				if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
					_ = to.Close()
					return
				}
			}
		})
	}
	both.Wait()
}
