package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/database"
)

// attemptLimit exceeds all of the service's timeouts in these tests.
const attemptLimit = 3 * time.Second

// shortTimeouts lets the service wait for a standby for a second at most.
func shortTimeouts(s *Settings) {
	s.OrderTimeout, s.Postgres.StatementTimeout, s.Postgres.LockTimeout = time.Second, time.Second, time.Second
}

// retriedWrite is a write that a client repeats unchanged until it gets a response.
type retriedWrite struct {
	name string
	// attempt reports whether the response or the failure says that the write is done.
	attempt func(ctx context.Context) (done bool, err error)
	// check returns an error unless the write is in the service's database.
	check func(s *service) error
}

// writes prepares a store and returns a write of every kind. Each has a product of its own:
// otherwise the writes wait for each other's locks instead of for the standby.
func (s *service) writes(buyer account) []retriedWrite {
	s.t.Helper()
	changed, deleted, sold, returned := s.product(buyer, 5), s.product(buyer, 5), s.product(buyer, 50), s.product(buyer, 5)
	last := s.product(buyer, 1)
	placed, err := s.PlaceOrder(buyer.ctx, order("", line(returned, 2)))
	if err != nil {
		s.t.Fatal(err)
	}
	count := func(want int, sql string, args ...any) func(s *service) error {
		return func(s *service) error {
			if n := s.count(sql, args...); n != want {
				return fmt.Errorf("%s, %v: %d rows, want %d", sql, args, n, want)
			}
			return nil
		}
	}
	withKey := func(key string) retriedWrite {
		return retriedWrite{
			name: "an order with the key " + key,
			attempt: func(ctx context.Context) (bool, error) {
				_, err := s.PlaceOrder(ctx, order(key, line(sold, 1)))
				return err == nil, err
			},
			check: count(1, `SELECT count(*) FROM idempotency_keys JOIN orders ON id = order_id WHERE key = $1`, key),
		}
	}
	doneIf := func(done failure.Reason, err error) (bool, error) { return err == nil || reason(err) == done, err }
	return []retriedWrite{
		withKey("first"), withKey("second"), withKey("third"),
		{
			"an order of the last unit",
			func(ctx context.Context) (bool, error) {
				_, err := s.PlaceOrder(ctx, order("", line(last, 1)))
				return doneIf("out_of_stock", err)
			},
			count(1, `SELECT count(*) FROM products WHERE id = $1 AND stock = 0`, last.GetId()),
		},
		{
			"a cancelled order",
			func(ctx context.Context) (bool, error) {
				_, err := s.CancelOrder(ctx, &merchstorev1.CancelOrderRequest{Id: placed.GetOrder().GetId()})
				return doneIf("order_already_cancelled", err)
			},
			count(1, `SELECT count(*) FROM orders WHERE id = $1 AND status = 'cancelled'`, placed.GetOrder().GetId()),
		},
		{
			"a new account",
			func(ctx context.Context) (bool, error) {
				_, err := s.CreateUser(ctx, &merchstorev1.CreateUserRequest{Username: "late", Password: goodPassword})
				return doneIf("username_taken", err)
			},
			count(1, `SELECT count(*) FROM users WHERE username = 'late'`),
		},
		{
			"a new product",
			func(ctx context.Context) (bool, error) {
				_, err := s.CreateProduct(ctx, &merchstorev1.CreateProductRequest{Name: "Cap", Price: 100, Stock: 1})
				return err == nil, err
			},
			func(s *service) error {
				if s.count(`SELECT count(*) FROM products WHERE name = 'Cap'`) == 0 {
					return errors.New("the product is missing")
				}
				return nil
			},
		},
		{
			"a changed product",
			func(ctx context.Context) (bool, error) {
				name, version := "Scarf", changed.GetVersion()
				_, err := s.UpdateProduct(ctx, &merchstorev1.UpdateProductRequest{Id: changed.GetId(), Name: &name, IfVersion: &version})
				return doneIf("stale_version", err)
			},
			count(1, `SELECT count(*) FROM products WHERE id = $1 AND name = 'Scarf'`, changed.GetId()),
		},
		{
			"a deleted product",
			func(ctx context.Context) (bool, error) {
				_, err := s.DeleteProduct(ctx, &merchstorev1.DeleteProductRequest{Id: deleted.GetId()})
				return doneIf("product_not_found", err)
			},
			count(0, `SELECT count(*) FROM products WHERE id = $1 AND deleted_at IS NULL`, deleted.GetId()),
		},
	}
}

// attemptAll makes one concurrent attempt at each write, so that the orders share a batch. It
// returns the writes that are done.
func attemptAll(t *testing.T, buyer account, writes []retriedWrite) (done []retriedWrite) {
	t.Helper()
	results := make(chan *retriedWrite, len(writes))
	for _, w := range writes {
		go func() {
			ctx, cancel := context.WithTimeout(buyer.ctx, attemptLimit)
			defer cancel()
			ok, err := w.attempt(ctx)
			switch {
			case ok:
				results <- &w
				return
			case status.Code(err) == codes.Internal || status.Code(err) == codes.Unknown:
				t.Errorf("%s: %v", w.name, err)
			}
			results <- nil
		}()
	}
	for range writes {
		if w := <-results; w != nil {
			done = append(done, *w)
		}
	}
	return done
}

// TestReportedWritesSurviveFailover has clients retry what failed while the standby was stopped,
// then kills the primary and promotes the standby.
func TestReportedWritesSurviveFailover(t *testing.T) {
	for name, standbyRestarts := range map[string]bool{
		"the standby restarts after the failover":  false,
		"the standby restarts before the failover": true,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, standby := database.StartPair(t)
			s := startOnServer(t, primary, shortTimeouts)
			buyer := s.signUp("buyer")
			writes := s.writes(buyer)

			if err := standby.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			done := attemptAll(t, buyer, writes[:1]) // the next round replays it in a batch with new orders
			for range 3 {
				done = append(done, attemptAll(t, buyer, writes)...)
			}
			if standbyRestarts {
				if err := standby.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				waitFor(t, "every write to be done", func() bool {
					now := attemptAll(t, buyer, writes)
					done = append(done, now...)
					return len(now) == len(writes)
				})
			} else if len(done) > 0 {
				t.Errorf("%d writes were reported as done without the standby; the first: %s", len(done), done[0].name)
			}

			promoted := failOver(t, s, primary, standby)
			for _, w := range done {
				if err := w.check(promoted); err != nil {
					t.Errorf("%s was reported as done and is lost: %v", w.name, err)
				}
			}
		})
	}
}

// failOver kills the primary and returns a service on the promoted standby.
func failOver(t *testing.T, s *service, primary, standby *pgserver.Server) *service {
	t.Helper()
	primary.Kill()
	s.abandon()
	if err := standby.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	database.Promote(t, standby)
	return startOn(t, standby.URL("postgres"), shortTimeouts)
}

// TestCancelledStandbyWaitIsAnError cancels the wait for the standby, as an administrator may.
// PostgreSQL then commits with only a warning. The second attempt's response is about the first one.
func TestCancelledStandbyWaitIsAnError(t *testing.T) {
	t.Parallel()
	primary, standby := database.StartPair(t)
	s := startOnServer(t, primary)
	buyer := s.signUp("buyer")
	writes := s.writes(buyer)
	admin := database.Connect(t, s.url)
	if err := standby.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, w := range slices.Concat(writes, writes) {
		t.Run(w.name, func(t *testing.T) {
			ended := make(chan bool, 1)
			go func() {
				done, _ := w.attempt(buyer.ctx)
				ended <- done
			}()
			again := time.NewTicker(20 * time.Millisecond)
			defer again.Stop()
			for {
				select {
				case done := <-ended:
					if done {
						t.Error("the write was reported as done without the standby")
					}
					return
				case <-again.C: // cancels all waits, including that of this write
					const cancelAll = `SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`
					database.Ask[int](t, admin, cancelAll)
				}
			}
		})
	}
	if err := standby.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
