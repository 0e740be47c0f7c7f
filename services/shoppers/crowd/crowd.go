// Package crowd is the people in front of the store: shoppers, and a merchant whose products they buy, so that they never empty
// anybody else's shelf.
package crowd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"merchstore.io/merchstore/services/shoppers/client"
)

// farewell is how long it takes everybody to leave, if the store is well.
const farewell = 10 * time.Second

// Crowd is all of them.
type Crowd struct {
	store    *client.Store
	log      *slog.Logger
	rate     float64
	merchant *merchant
	shoppers []*shopper

	ctx   context.Context
	close context.CancelFunc
	gone  chan struct{} // closed when nobody does anything any more
}

// New makes a crowd of a merchant and n shoppers, who make up to perSecond requests a second. Each run has accounts of its own, whose
// passwords nobody else knows.
func New(store *client.Store, n int, perSecond float64, log *slog.Logger) *Crowd {
	run := strings.ToLower(rand.Text()[:8])
	goods := new(shelf)
	c := &Crowd{
		store: store, log: log, rate: perSecond, gone: make(chan struct{}),
		merchant: &merchant{person: newPerson(store, "merchant-"+run, log), shelf: goods, wares: newWares()},
	}
	for i := range n {
		c.shoppers = append(c.shoppers, newShopper(newPerson(store, fmt.Sprintf("shopper-%s-%d", run, i+1), log), goods))
	}
	c.ctx, c.close = context.WithCancel(context.Background())
	return c
}

// Serve lets them shop until Stop is called, or until one of them turns out to be the store's admin: that is for somebody else. The merchant
// comes first and alone, as it is the first account of a store that becomes its admin.
func (c *Crowd) Serve() error {
	defer close(c.gone)
	for c.ctx.Err() == nil && !c.merchant.lost() && !c.merchant.settled() {
		if err := c.step(c.merchant.person, c.merchant.enter); err != nil {
			return err
		}
	}
	errs := make([]error, len(c.shoppers)+1)
	var all sync.WaitGroup
	all.Go(func() { errs[len(c.shoppers)] = c.live(c.merchant.person, c.merchant.act) })
	for i, s := range c.shoppers {
		all.Go(func() { errs[i] = c.live(s.person, s.act) })
	}
	c.log.Info("the shoppers are there", "shoppers", len(c.shoppers))
	all.Wait()
	return errors.Join(errs...)
}

// live is one person's day.
func (c *Crowd) live(p *person, act func(context.Context) error) error {
	for c.ctx.Err() == nil && !p.lost() {
		do := act
		if !p.settled() {
			do = p.enter
		}
		if err := c.step(p, do); err != nil {
			return err
		}
	}
	return nil
}

// step is one thing that a person does. A store that is away, or answers nonsense, does not end their day; being its admin ends everybody's.
func (c *Crowd) step(p *person, do func(context.Context) error) error {
	err := do(c.ctx)
	switch {
	case p.admin:
		c.close()
		return p.handOver()
	case err != nil && c.ctx.Err() == nil:
		p.log.Warn("something went wrong", "error", err)
	}
	return nil
}

// Stop waits for answers that are under way, takes the merchant's products off the shelf and deactivates all accounts but an admin's. What
// can't be done before ctx ends, or because the store is away, is left and said.
func (c *Crowd) Stop(ctx context.Context) error {
	defer c.store.Close()
	c.close()
	select {
	case <-c.gone:
	case <-ctx.Done():
		return fmt.Errorf("wait for answers: %w", context.Cause(ctx))
	}
	most := 2 * (len(c.shoppers) + 1 + len(c.merchant.wares)) // each may have to log in again
	c.store.Hurry(max(c.rate, float64(most)/farewell.Seconds()))

	errs := make([]error, len(c.shoppers)+1)
	var all sync.WaitGroup
	all.Go(func() { errs[len(c.shoppers)] = c.merchant.close(ctx) })
	for i, s := range c.shoppers {
		all.Go(func() { errs[i] = s.leave(ctx) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		c.log.Warn("not everything of the shoppers is gone from the store", "error", err)
		return nil
	}
	c.log.Info("the shoppers have left")
	return nil
}
