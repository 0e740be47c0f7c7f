package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/postgres"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/database"
)

// attemptLimit is longer than all of the service's timeouts in these tests.
const attemptLimit = 3 * time.Second

// impatient gives up waiting for a standby after a second.
func impatient(s *Settings) {
	s.OrderTimeout, s.Postgres.StatementTimeout, s.Postgres.LockTimeout = time.Second, time.Second, time.Second
}

// retried is a write that a client repeats, as it is, until it gets an answer.
type retried struct {
	name string
	// attempt reports whether the answer, or the failure, says that the write is done.
	attempt func(ctx context.Context) (done bool, err error)
	lost    func(s *service) error
}

// writes prepares a store with an order and a product for each kind of write, and returns one of each kind. Each has a
// product of its own, or they would wait for each other's locks instead of for the standby.
func (s *service) writes(buyer account) []retried {
	s.t.Helper()
	changed, deleted, sold, returned := s.product(buyer, 5), s.product(buyer, 5), s.product(buyer, 50), s.product(buyer, 5)
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
	keyed := func(key string) retried {
		return retried{
			name: "an order with the key " + key,
			attempt: func(ctx context.Context) (bool, error) {
				_, err := s.PlaceOrder(ctx, order(key, line(sold, 1)))
				return err == nil, err
			},
			lost: count(1, `SELECT count(*) FROM idempotency_keys JOIN orders ON id = order_id WHERE key = $1`, key),
		}
	}
	says := func(word string, err error) (bool, error) { return err == nil || string(reason(err)) == word, err }
	return []retried{
		keyed("first"), keyed("second"), keyed("third"),
		{
			"a cancelled order",
			func(ctx context.Context) (bool, error) {
				_, err := s.CancelOrder(ctx, &merchstorev1.CancelOrderRequest{Id: placed.GetOrder().GetId()})
				return says("order_already_cancelled", err)
			},
			count(1, `SELECT count(*) FROM orders WHERE id = $1 AND status = 'cancelled'`, placed.GetOrder().GetId()),
		},
		{
			"a new account",
			func(ctx context.Context) (bool, error) {
				_, err := s.CreateUser(ctx, &merchstorev1.CreateUserRequest{Username: "late", Password: goodPassword})
				return says("username_taken", err)
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
					return fmt.Errorf("no cap is there")
				}
				return nil
			},
		},
		{
			"a changed product",
			func(ctx context.Context) (bool, error) {
				name, version := "Scarf", changed.GetVersion()
				_, err := s.UpdateProduct(ctx, &merchstorev1.UpdateProductRequest{Id: changed.GetId(), Name: &name, IfVersion: &version})
				return says("stale_version", err)
			},
			count(1, `SELECT count(*) FROM products WHERE id = $1 AND name = 'Scarf'`, changed.GetId()),
		},
		{
			"a deleted product",
			func(ctx context.Context) (bool, error) {
				_, err := s.DeleteProduct(ctx, &merchstorev1.DeleteProductRequest{Id: deleted.GetId()})
				return says("product_not_found", err)
			},
			count(0, `SELECT count(*) FROM products WHERE id = $1 AND deleted_at IS NULL`, deleted.GetId()),
		},
	}
}

// tryAll makes one attempt at each write, all at the same time: the orders ride in one group.
func tryAll(t *testing.T, buyer account, writes []retried) (done []retried) {
	t.Helper()
	results := make(chan *retried, len(writes))
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

// TestWhatIsAnsweredSurvivesTheLossOfThePrimary has clients repeat what was cut off while the standby was away, then loses
// the primary and goes on with the standby.
func TestWhatIsAnsweredSurvivesTheLossOfThePrimary(t *testing.T) {
	for name, standbyComesBack := range map[string]bool{
		"the standby stays away until the primary is lost": false,
		"the standby comes back before":                    true,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, standby := database.StartPair(t)
			s := startOnServer(t, primary, impatient)
			buyer := s.signUp("buyer")
			writes := s.writes(buyer)

			if err := standby.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			done := tryAll(t, buyer, writes[:1]) // alone, so that it is a replay beside new orders in the next round
			for range 3 {
				done = append(done, tryAll(t, buyer, writes)...)
			}
			if standbyComesBack {
				if err := standby.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				waitFor(t, "every write to be answered", func() bool {
					now := tryAll(t, buyer, writes)
					done = append(done, now...)
					return len(now) == len(writes)
				})
			} else if len(done) > 0 {
				t.Errorf("%d writes were answered as done, though the standby has none of them; the first: %s", len(done), done[0].name)
			}

			promoted := failOver(t, s, primary, standby)
			for _, w := range done {
				if err := w.lost(promoted); err != nil {
					t.Errorf("%s was answered as done and is lost: %v", w.name, err)
				}
			}
		})
	}
}

// failOver ends the primary at once and returns a service on what its standby has.
func failOver(t *testing.T, s *service, primary, standby *postgres.Server) *service {
	t.Helper()
	primary.Kill()
	s.stop()
	if err := standby.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	database.Promote(t, standby)
	return startOn(t, standby.URL("postgres"), impatient)
}

// TestACancelledWaitForTheStandbyIsNoCommit cancels what waits for the standby, as an administrator may: PostgreSQL then
// only warns, and the commit succeeds.
func TestACancelledWaitForTheStandbyIsNoCommit(t *testing.T) {
	t.Parallel()
	primary, standby := database.StartPair(t)
	s := startOnServer(t, primary)
	buyer := s.signUp("buyer")
	writes := s.writes(buyer)
	admin := database.Connect(t, s.url)
	if err := standby.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, w := range writes {
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
						t.Error("it was answered as done, though the standby does not have it")
					}
					return
				case <-again.C: // of others than this write, too: what counts is that it is one of them
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
