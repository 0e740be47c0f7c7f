// Package users simulates users of the store: customers, and a merchant who sells the products that
// the customers order. Nobody else's stock changes.
package users

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"merchstore.io/merchstore/services/loadgen/client"
)

// cleanupDuration is the time that Stop takes if the store is healthy.
const cleanupDuration = 10 * time.Second

// Simulation is a merchant and a number of customers.
type Simulation struct {
	client    *client.Client
	log       *slog.Logger
	rate      float64
	merchant  *merchant
	customers []*customer

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when Serve returns
}

// New returns a Simulation of a merchant and n customers, who send up to perSecond requests per
// second. Each Simulation has its own accounts with random passwords.
func New(c *client.Client, n int, perSecond float64, log *slog.Logger) *Simulation {
	run := strings.ToLower(rand.Text()[:8])
	forSale := new(listings)
	s := &Simulation{
		client: c, log: log, rate: perSecond, done: make(chan struct{}),
		merchant: &merchant{user: newUser(c, "merchant-"+run, log), listings: forSale, items: catalogue()},
	}
	for i := range n {
		u := newUser(c, fmt.Sprintf("customer-%s-%d", run, i+1), log)
		s.customers = append(s.customers, newCustomer(u, forSale))
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve runs the simulation until Stop is called. If one of the users becomes the store's admin,
// Serve returns an error with that account's credentials. The merchant signs up first and alone,
// because the first account of a store becomes its admin.
func (s *Simulation) Serve() error {
	defer close(s.done)
	for s.ctx.Err() == nil && !s.merchant.gaveUp() && !s.merchant.ready() {
		if err := s.step(s.merchant.user, s.merchant.enter); err != nil {
			return err
		}
	}
	errs := make([]error, len(s.customers)+1)
	var running sync.WaitGroup
	running.Go(func() { errs[len(s.customers)] = s.loop(s.merchant.user, s.merchant.act) })
	for i, c := range s.customers {
		running.Go(func() { errs[i] = s.loop(c.user, c.act) })
	}
	s.log.Info("users started", "customers", len(s.customers))
	running.Wait()
	return errors.Join(errs...)
}

// loop lets one user act until the simulation ends or the user has no account left.
func (s *Simulation) loop(u *user, act func(context.Context) error) error {
	for s.ctx.Err() == nil && !u.gaveUp() {
		next := act
		if !u.ready() {
			next = u.enter
		}
		if err := s.step(u, next); err != nil {
			return err
		}
	}
	return nil
}

// step runs one action of a user. Errors are logged and do not end the simulation, unless the user
// is an admin.
func (s *Simulation) step(u *user, act func(context.Context) error) error {
	err := act(s.ctx)
	switch {
	case u.admin:
		s.cancel()
		return u.adminError()
	case err != nil && s.ctx.Err() == nil:
		u.log.Warn("action failed", "error", err)
	}
	return nil
}

// Stop waits for requests in flight, deletes the merchant's products and deactivates all accounts
// but an admin's. What cannot be done before ctx ends, or because the store is unavailable, is
// logged.
func (s *Simulation) Stop(ctx context.Context) error {
	defer s.client.Close()
	s.cancel()
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("wait for requests in flight: %w", context.Cause(ctx))
	}
	maxRequests := 2 * (len(s.customers) + 1 + len(s.merchant.items)) // each may need a new login
	s.client.SetRate(max(s.rate, float64(maxRequests)/cleanupDuration.Seconds()))

	errs := make([]error, len(s.customers)+1)
	var running sync.WaitGroup
	running.Go(func() { errs[len(s.customers)] = s.merchant.leave(ctx) })
	for i, c := range s.customers {
		running.Go(func() { errs[i] = c.deactivate(ctx) })
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		s.log.Warn("users stopped, some products or accounts remain", "error", err)
		return nil
	}
	s.log.Info("users stopped")
	return nil
}
