package cache

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

// sharedPrefix is the prefix of counters and marks, which are not copies of anything.
const sharedPrefix = "merchstore:"

// Count returns the value of a counter. It reports false if the server does not answer.
func (c *Cache) Count(ctx context.Context, key string) (n int64, ok bool) {
	ok = c.ask(ctx, "count", func(ctx context.Context) (err error) {
		n, err = c.client.Do(ctx, c.client.B().Get().Key(sharedPrefix+key).Build()).AsInt64()
		return err
	})
	return n, ok
}

// Add adds one to a counter that ends ttl after it was first added to. EXPIRE has no NX before Redis 7.
func (c *Cache) Add(ctx context.Context, key string, ttl time.Duration) (ok bool) {
	key = sharedPrefix + key
	return c.ask(ctx, "count", func(ctx context.Context) error {
		answers := c.client.DoMulti(ctx, c.client.B().Incr().Key(key).Build(), c.client.B().Pttl().Key(key).Build())
		if err := answers[0].Error(); err != nil {
			return err
		}
		left, err := answers[1].AsInt64()
		if err != nil || left != -1 {
			return err
		}
		return c.client.Do(ctx, c.client.B().Pexpire().Key(key).Milliseconds(ttl.Milliseconds()).Build()).Error()
	})
}

// Set sets a mark for ttl.
func (c *Cache) Set(ctx context.Context, key string, ttl time.Duration) (ok bool) {
	return c.ask(ctx, "mark", func(ctx context.Context) error {
		return c.client.Do(ctx, c.client.B().Set().Key(sharedPrefix+key).Value("1").Px(ttl).Build()).Error()
	})
}

// Has reports whether a mark is set.
func (c *Cache) Has(ctx context.Context, key string) (has, ok bool) {
	ok = c.ask(ctx, "mark", func(ctx context.Context) (err error) {
		n, err := c.client.Do(ctx, c.client.B().Exists().Key(sharedPrefix+key).Build()).AsInt64()
		has = n > 0
		return err
	})
	return has, ok
}

// ask runs a command, and reports whether the server has answered. A server that refuses the command,
// for lack of a permission for example, is still used for copies.
func (c *Cache) ask(ctx context.Context, operation string, command func(context.Context) error) bool {
	if !c.available.Load() {
		return false
	}
	refused := false
	err := c.do(ctx, operation, func(ctx context.Context) error {
		err := command(ctx)
		if _, refused = rueidis.IsRedisErr(err); refused {
			c.metrics.errors.WithLabelValues(operation).Inc()
			return nil
		}
		return err
	})
	return !refused && (err == nil || rueidis.IsRedisNil(err))
}
