// Package cache keeps accounts and products that were read by their ids, so that most reads ask PostgreSQL nothing.
//
// It has two levels. Level one is copies within the process: a hit costs no more than a look into a map. Level two is a Valkey or
// Redis that all processes share; it remembers who has read what, and tells them when that changes. What is in neither is read from
// PostgreSQL by one reader, whoever asks at the same time in whichever process, and put into level two. That there is nothing of
// an id is kept as well.
//
// # What a reader may see
//
// Writers call [Cache.Changed] when they have committed, and answer when it has returned. From then on, no read that begins in any
// process sees what was before: Changed returns when all processes have acknowledged that they have dropped their copies. What was read
// before a commit is never put in after it: a loader marks the key with a word of its own, Changed takes the mark away, and only what
// finds its own mark is put in.
//
// What was before can be seen for longer only if something fails in the very moment of a write:
//   - a process does not acknowledge within a second, because it hangs: it may use its copies until it has heard of the change,
//     or for two and a half seconds, after which it has noticed that it hears nothing. For three seconds, or until it acknowledges
//     something, it is not waited for; nor is, if it ends in that time and another process begins, that one at the first change;
//   - the server hangs, or is away for a moment, so that Changed is not done within a second and a half: the same;
//   - the writer's process is killed between its commit and Changed, or it alone does not get through to the server: for CACHE_TTL. As
//     long as it lives it tries again, and reads what it could not take out from PostgreSQL itself.
//
// When the server is away, or does not answer in time, everything is read from PostgreSQL, until it is there again.
package cache

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/shop"
)

// Settings say where level two is, and how much is kept for how long.
type Settings struct {
	URL        settings.Secret `env:"CACHE_URL" help:"redis://user:password@host:6379/0 of a Valkey or Redis, rediss:// for TLS, no other store's; empty: no cache"`
	TTL        time.Duration   `env:"CACHE_TTL" envDefault:"10s" help:"an account or product is read anew after this, changed or not"`
	LocalBytes int             `env:"CACHE_LOCAL_BYTES" envDefault:"33554432" help:"memory for copies in this process, about"`
}

// Validate implements settings.Validator.
func (s Settings) Validate() error {
	if s.TTL < time.Second {
		return errors.New("CACHE_TTL must be at least 1s")
	}
	if s.LocalBytes < 1<<20 {
		return errors.New("CACHE_LOCAL_BYTES must be at least 1048576")
	}
	return nil
}

// Reader is what is cached.
type Reader interface {
	// StartUser asks for an account; wait gives it, or nil if there is none.
	StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error))
	// ProductByID gives a product, or nil if there is none.
	ProductByID(ctx context.Context, id int32) (*shop.Product, error)
}

// Cache stands before a Reader, and is one. It is safe for concurrent use. What it gives is shared where it holds references: a
// slice in it must not be changed.
type Cache struct {
	link     *link
	users    *kind[shop.User]
	products *kind[shop.Product]
}

// New makes a Cache. It succeeds also when the server is away: it may come. It needs Close.
func New(s Settings, source Reader, r prometheus.Registerer, log *slog.Logger) (*Cache, error) {
	option, err := rueidis.ParseURL(string(s.URL))
	if err != nil { // which repeats the URL, and the password in it
		return nil, errors.New("read CACHE_URL: it must be like redis://user:password@host:6379/0, special characters written as %40")
	}
	m := newMetrics(r)
	c := &Cache{link: newLink(option, s, m, log)}
	c.users = newKind("user", c.link, m, source.StartUser)
	c.products = newKind("product", c.link, m, func(ctx context.Context, id int32) func() (*shop.Product, error) {
		return func() (*shop.Product, error) { return source.ProductByID(ctx, id) }
	})
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "merchstore_cache_available", Help: "1 when the cache is used, 0 when everything is read from the database.",
	}, func() float64 {
		if c.link.session.Load() != nil {
			return 1
		}
		return 0
	}))
	c.link.open()
	return c, nil
}

// StartUser asks for an account, and gives a function that waits for it; nil if there is none.
func (c *Cache) StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error)) {
	return c.users.start(ctx, id)
}

// ProductByID gives a product that is on the shelf; nil if there is none.
func (c *Cache) ProductByID(ctx context.Context, id int32) (*shop.Product, error) {
	return c.products.get(ctx, id)
}

// Changed takes out what a transaction has changed, made or deleted. It is to be called after the commit and before anybody is told
// of it. It always succeeds, and returns within a second and a half: what it can't take out by then is taken out later, and read
// from PostgreSQL by this process until then. Of that time, a server that hangs gets 250 ms, then a new connection is waited for;
// a process that hangs gets a second. While the server is known to be away it returns at once. A ctx that has ended does not stop
// it, for the change is made.
func (c *Cache) Changed(ctx context.Context, users, products []int32) {
	keys := make([]string, 0, len(users)+len(products))
	for _, id := range users {
		keys = append(keys, c.users.key(id))
	}
	for _, id := range products {
		keys = append(keys, c.products.key(id))
	}
	if len(keys) > 0 {
		c.link.forget(context.WithoutCancel(ctx), keys)
	}
}

// Close ends the connection. Reads that come later go to PostgreSQL.
func (c *Cache) Close() { c.link.close() }
