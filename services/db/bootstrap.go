package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"merchstore.io/merchstore/internal/process"
	"merchstore.io/merchstore/services/db/jobs"
	"merchstore.io/merchstore/services/db/shop"
)

const (
	bootstrapTimeout  = 10 * time.Second
	bootstrapInterval = 500 * time.Millisecond
)

var errNotBootstrapped = errors.New("the store is not prepared yet")

// bootstrap prepares the store: it creates the admin account, seeds products, and starts the jobs.
// It retries until it succeeds, because the database may become available later than this process.
type bootstrap struct {
	settings  Settings
	accounts  *shop.Accounts
	catalogue *shop.Catalogue
	runner    *jobs.Runner
	// index indexes the products that are older than the index that searches use.
	index func(ctx context.Context) error
	// database reports whether the database may be used.
	database func(ctx context.Context) error
	log      *slog.Logger

	stop context.CancelFunc
	done chan struct{}

	mu  sync.Mutex
	err error
}

// component starts the bootstrap, and returns the component that stops it and the jobs.
func (b *bootstrap) component(ctx context.Context) process.Component {
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	b.done, b.err = make(chan struct{}), errNotBootstrapped
	go b.run(ctx)
	return process.Component{Name: "bootstrap", Stop: func(ctx context.Context) error {
		b.stop()
		<-b.done
		return b.runner.Stop(ctx)
	}}
}

// ready returns why the latest attempt failed, or nil once one has succeeded.
func (b *bootstrap) ready(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *bootstrap) run(ctx context.Context) {
	defer close(b.done)
	retry := time.NewTicker(bootstrapInterval)
	defer retry.Stop()
	for {
		err := b.try(ctx)
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
		}
	}
}

func (b *bootstrap) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootstrapTimeout)
	defer cancel()
	if err := b.database(ctx); err != nil {
		return err
	}
	if err := b.index(ctx); err != nil {
		return err
	}
	if b.settings.AdminUsername != "" {
		activated, err := b.accounts.EnsureAdmin(ctx, b.settings.AdminUsername, string(b.settings.AdminPassword))
		switch {
		case errors.Is(err, shop.ErrNotAdmin): // took the name of a renamed admin; the store serves without one
			b.log.Error("ADMIN_USERNAME is the name of a customer, so that there is no such admin", "username", b.settings.AdminUsername)
		case err != nil:
			return err
		}
		if activated {
			b.log.Warn("the account of ADMIN_USERNAME was deactivated: it is active again", "username", b.settings.AdminUsername)
		}
	}
	if b.settings.SeedProducts {
		if err := b.catalogue.Seed(ctx); err != nil {
			return err
		}
	}
	return b.runner.Start(ctx)
}
