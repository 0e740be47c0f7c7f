// Package cache caches accounts and products in a Valkey or Redis and in the process.
//
// It uses rueidis' client-side caching with server-assisted invalidation: the server tracks which
// process has read which key, and notifies it when the key changes. Writers call [Cache.Changed]
// after their commit and before they respond. From then on their own process reads no old value;
// other processes are notified within milliseconds. If that fails, an old value expires with its
// time to live: one second for accounts, CACHE_TTL for products.
//
// While the server does not respond, everything is read from PostgreSQL.
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

	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/shop"
)

const (
	// accountTTL bounds how long other processes accept the tokens of a deactivated account.
	accountTTL = time.Second
	// answerTimeout bounds each command and a new connection. When the server begins to hang,
	// requests in flight wait for it once; later ones do not use it.
	answerTimeout = 50 * time.Millisecond
	// checkInterval is the interval of pings.
	checkInterval = time.Second
	// localBytes bounds the memory of the process's own cache.
	localBytes = 32 << 20
)

// Settings configure a Cache.
type Settings struct {
	URL    settings.Secret `env:"CACHE_URL" help:"redis://user:password@host:6379/0 of a Valkey or Redis, or rediss:// for TLS; not shared with another store; no cache if empty"`
	CAFile string          `env:"CACHE_CA_FILE" help:"file with the authority of the server's certificate for rediss://, read again for each connection; the public authorities if empty"`
	TTL    time.Duration   `env:"CACHE_TTL" envDefault:"10s" min:"1s" help:"maximum age of cached products; accounts are cached for a second"`
}

// Reader reads from PostgreSQL, or through a Cache. Callers must not modify the results, which are
// shared.
type Reader interface {
	// StartUser starts to read an account. wait returns it, or nil if there is none.
	StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error))
	// ProductByID returns a product, or nil if there is none.
	ProductByID(ctx context.Context, id int32) (*shop.Product, error)
}

// Cache is a Reader that caches another one. It is safe for concurrent use.
type Cache struct {
	source   Reader
	users    *kind[shop.User]
	products *kind[shop.Product]

	client    rueidis.Client
	ttl       time.Duration
	available atomic.Bool  // the last command succeeded
	readAfter atomic.Int64 // Unix nanoseconds; before, the server may have values that could not be deleted
	stop      func()       // stops check

	metrics metrics
	log     *slog.Logger
}

// New returns a Cache of source, which must be closed. The server may be unavailable.
func New(s Settings, source Reader, r prometheus.Registerer, log *slog.Logger) (*Cache, error) {
	option, err := rueidis.ParseURL(string(s.URL))
	if err != nil { // the error contains the URL with its password
		return nil, errors.New("read CACHE_URL: it must be like redis://user:password@host:6379/0, with special characters escaped as in %40")
	}
	switch {
	case s.CAFile != "" && option.TLSConfig != nil:
		mtls.VerifyWith(option.TLSConfig, s.CAFile)
	case s.CAFile != "": // only a warning, because an earlier version started with it
		log.Warn("connections to the cache are not encrypted, and CACHE_CA_FILE is ignored: CACHE_URL has to begin with rediss://")
	}
	option.ClientName = "merchstore-db"
	option.CacheSizeEachConn = localBytes
	option.ForceSingleClient = true // connects later if the server is unavailable
	option.DisableRetry = true
	option.PipelineMultiplex = -1 // one connection, see remove
	option.AlwaysPipelining = true
	option.Dialer.Timeout, option.ConnWriteTimeout = checkInterval, checkInterval
	client, err := rueidis.NewClient(option)
	if client == nil {
		return nil, fmt.Errorf("create client of the cache: %w", err)
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

// Changed invalidates what a transaction has created, changed or deleted. It must be called after
// the commit. When it returns, this process reads no older values. It ignores the cancellation of
// ctx, because the change is committed.
func (c *Cache) Changed(ctx context.Context, users, products []int32) {
	keys := append(c.users.keys(users), c.products.keys(products)...)
	if len(keys) == 0 {
		return
	}
	c.metrics.invalidations.Add(float64(len(keys)))
	if !c.available.Load() || c.remove(ctx, keys) != nil {
		c.readAfter.Store(time.Now().Add(c.ttl).UnixNano()) // by then, all older values have expired
	}
}

// remove deletes keys in the server and in this process. The server sends invalidations right after
// its response to DEL, so they have arrived when the response to PING has.
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

// do runs commands within answerTimeout, even if the caller is cancelled, because other callers may
// wait for the same response. After a failure the server is not used until check succeeds.
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

// check pings the server at intervals.
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

// setAvailable records whether the server responds, and logs changes.
func (c *Cache) setAvailable(err error) {
	switch was := c.available.Swap(err == nil); {
	case err == nil && !was:
		c.log.Info("the cache is available again")
	case err != nil && was:
		c.log.Warn("the cache is unavailable, reading from the database", "error", err)
	}
}
