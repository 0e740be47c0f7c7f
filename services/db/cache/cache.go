// Package cache reads accounts and products through a Valkey or Redis, and keeps copies of what it
// has read there in the process.
//
// It is client-side caching with server-assisted invalidation, as rueidis offers it: the server
// remembers which process has read which key, and tells it when the key changes. Writers call
// [Cache.Changed] after their commit and before they answer. Their own process reads no old value
// from then on; others hear of the change within milliseconds. Should that fail, an old value ends
// with its time to live: one second for accounts, CACHE_TTL for products.
//
// While the server does not answer, everything is read from PostgreSQL.
package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/shop"
)

const (
	// accountTTL bounds how long other processes accept the tokens of a deactivated account.
	accountTTL = time.Second
	// answerTimeout is for each command and for a new connection. When a server begins to hang,
	// requests under way wait for it once; later ones do not ask.
	answerTimeout = 50 * time.Millisecond
	// checkInterval is how often the server is asked whether it answers.
	checkInterval = time.Second
	// localBytes is the memory for copies in this process.
	localBytes = 32 << 20
)

// Settings configure a Cache.
type Settings struct {
	URL settings.Secret `env:"CACHE_URL" help:"redis://user:password@host:6379/0 of a Valkey or Redis, rediss:// for TLS, no other store's; empty: no cache"`
	TTL time.Duration   `env:"CACHE_TTL" envDefault:"10s" help:"a product is read anew after this, changed or not; an account after a second"`
}

// Validate implements settings.Validator.
func (s Settings) Validate() error {
	if s.TTL < accountTTL {
		return fmt.Errorf("CACHE_TTL must be at least %s", accountTTL)
	}
	return nil
}

// Reader reads from PostgreSQL, or through a Cache. What it returns is shared and must not be changed.
type Reader interface {
	// StartUser begins to read an account. wait returns it, or nil if there is none.
	StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error))
	// ProductByID returns a product, or nil if there is none.
	ProductByID(ctx context.Context, id int32) (*shop.Product, error)
}

// Cache is a Reader before another one. It is safe for concurrent use.
type Cache struct {
	source   Reader
	users    *kind[shop.User]
	products *kind[shop.Product]

	client    rueidis.Client
	ttl       time.Duration
	available atomic.Bool  // the server has answered the last command
	readAfter atomic.Int64 // until then, in Unix nanoseconds, it may have what was not deleted
	stop      func()       // ends check

	metrics metrics
	log     *slog.Logger
}

// New returns a Cache before source, which must be closed. The server may be away.
func New(s Settings, source Reader, r prometheus.Registerer, log *slog.Logger) (*Cache, error) {
	option, err := rueidis.ParseURL(string(s.URL))
	if err != nil { // it repeats the URL, and the password in it
		return nil, errors.New("read CACHE_URL: it must be like redis://user:password@host:6379/0, special characters written as %40")
	}
	option.ClientName = "merchstore-db"
	option.CacheSizeEachConn = localBytes
	option.ForceSingleClient = true // which connects later if it cannot now
	option.DisableRetry = true
	option.PipelineMultiplex = -1 // one connection, see remove
	option.AlwaysPipelining = true
	option.Dialer.Timeout, option.ConnWriteTimeout = checkInterval, checkInterval
	client, err := rueidis.NewClient(option)
	if client == nil {
		return nil, fmt.Errorf("open the cache: %w", err)
	}
	c := &Cache{source: source, client: client, ttl: s.TTL, log: log}
	c.metrics = newMetrics(r, c.usable)
	c.users = newKind("user", c, accountTTL, func(ctx context.Context, id int32) (*shop.User, error) {
		return source.StartUser(ctx, id)()
	})
	c.products = newKind("product", c, s.TTL, source.ProductByID)
	c.available.Store(true)
	if err != nil {
		c.setAvailable(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	checked := make(chan struct{})
	c.stop = func() { cancel(); <-checked }
	go func() { defer close(checked); c.check(ctx) }()
	return c, nil
}

// Close closes the connection. Later reads go to PostgreSQL.
func (c *Cache) Close() {
	c.stop()
	c.available.Store(false)
	c.client.Close()
}

// StartUser implements Reader.
func (c *Cache) StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error)) {
	if !c.usable() {
		c.users.results[bypass].Inc()
		return c.source.StartUser(ctx, id)
	}
	return func() (*shop.User, error) { return c.users.get(ctx, id) }
}

// ProductByID implements Reader.
func (c *Cache) ProductByID(ctx context.Context, id int32) (*shop.Product, error) {
	return c.products.get(ctx, id)
}

// Changed removes what a transaction has changed, made or deleted, after its commit. When it
// returns, this process does not read what was there before. It ignores the end of ctx: the change
// is made.
func (c *Cache) Changed(ctx context.Context, users, products []int32) {
	keys := append(c.users.keys(users), c.products.keys(products)...)
	if len(keys) == 0 {
		return
	}
	c.metrics.invalidations.Add(float64(len(keys)))
	if !c.available.Load() || c.remove(ctx, keys) != nil {
		c.readAfter.Store(time.Now().Add(c.ttl).UnixNano()) // by then, all that could be read has ended
	}
}

// remove returns when keys are deleted in the server and in this process. The server sends its
// invalidations right after its answer to DEL, so that they are here when the answer to PING is.
func (c *Cache) remove(ctx context.Context, keys []string) error {
	return c.do(ctx, "invalidate", func(ctx context.Context) error {
		answers := c.client.DoMulti(ctx, c.client.B().Del().Key(keys...).Build(), c.client.B().Ping().Build())
		return errors.Join(answers[0].Error(), answers[1].Error())
	})
}

// usable reports whether values are read from the server.
func (c *Cache) usable() bool {
	return c.available.Load() && time.Now().UnixNano() >= c.readAfter.Load()
}

// do runs commands within answerTimeout, even if the caller goes away: others may be waiting for
// the same answer. After a failure the server is not asked until check finds that it answers.
func (c *Cache) do(ctx context.Context, operation string, command func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	err := command(ctx)
	if err != nil && !rueidis.IsRedisNil(err) {
		c.metrics.errors.WithLabelValues(operation).Inc()
		c.setAvailable(err)
	}
	return err
}

// check asks the server at intervals whether it answers.
func (c *Cache) check(ctx context.Context) {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			err := c.do(ctx, "ping", func(ctx context.Context) error {
				return c.client.Do(ctx, c.client.B().Ping().Build()).Error()
			})
			if err == nil {
				c.setAvailable(nil)
			}
		case <-ctx.Done():
			return
		}
	}
}

// setAvailable records whether the server has answered, and logs when that changes.
func (c *Cache) setAvailable(err error) {
	switch was := c.available.Swap(err == nil); {
	case err == nil && !was:
		c.log.Info("the cache answers")
	case err != nil && was:
		c.log.Warn("the cache does not answer: reading from the database", "error", err)
	}
}
