package cache

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
)

const (
	// keyPrefix contains the version of the values' format. It must change with the fields of
	// shop.User and shop.Product, so that different versions of the store do not read each other's
	// values.
	keyPrefix = "merchstore:2:"
	// markPrefix and a random text are the value of a key while a process loads it.
	markPrefix = "?"
	// maxDecoded is the number of decoded values that are kept of each kind.
	maxDecoded = 4096
)

// store replaces a mark by a value, unless a change has deleted the mark. The value keeps the
// mark's expiry, so its time to live begins before it was read.
var store = rueidis.NewLuaScript(`
	if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') end
	return 1`)

// kind caches the values of one type.
type kind[T any] struct {
	cache   *Cache
	prefix  string // of keys
	ttl     time.Duration
	load    func(ctx context.Context, id int32) (*T, error) // from PostgreSQL
	results map[string]prometheus.Counter
	decoded *lru.Cache[string, *T]
}

func newKind[T any](name string, c *Cache, ttl time.Duration, load func(context.Context, int32) (*T, error)) *kind[T] {
	k := &kind[T]{cache: c, prefix: keyPrefix + name + ":", ttl: ttl, load: load, results: map[string]prometheus.Counter{}}
	var err error
	if k.decoded, err = lru.New[string, *T](maxDecoded); err != nil {
		panic(err) // only for a size below 1
	}
	for _, result := range []string{localHit, hit, miss, bypass} {
		k.results[result] = c.metrics.requests.WithLabelValues(name, result)
	}
	return k
}

func (k *kind[T]) key(id int32) string { return k.prefix + strconv.FormatInt(int64(id), 10) }

func (k *kind[T]) keys(ids []int32) []string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = k.key(id)
	}
	return keys
}

// get reads through the cache. It does not wait for another reader that is loading the same value,
// because reads from PostgreSQL are batched.
func (k *kind[T]) get(ctx context.Context, id int32) (*T, error) {
	c, key, result := k.cache, k.key(id), hit
	if c.usable() {
		var text string
		err := c.do(ctx, "read", func(ctx context.Context) (err error) {
			answer := c.client.DoCache(ctx, c.client.B().Get().Key(key).Cache(), k.ttl)
			if answer.IsCacheHit() {
				result = localHit
			}
			text, err = answer.ToString()
			return err
		})
		switch {
		case rueidis.IsRedisNil(err):
			if mark := markPrefix + rand.Text(); k.mark(ctx, key, mark) {
				return k.loadAndStore(ctx, id, key, mark)
			}
		case err == nil && !strings.HasPrefix(text, markPrefix):
			if v, err := k.decode(text); err == nil {
				k.results[result].Inc()
				return v, nil
			}
		}
	}
	k.results[bypass].Inc()
	return k.load(ctx, id)
}

// decode returns the decoded text, or nil for null, which is the absence of a value. It keeps the
// result, because decoding would take more than half of the time of a local hit.
func (k *kind[T]) decode(text string) (*T, error) {
	if v, ok := k.decoded.Get(text); ok {
		return v, nil
	}
	var v *T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("decode from the cache: %w", err)
	}
	k.decoded.Add(text, v)
	return v, nil
}

// mark sets the mark if key has no value, and reports whether it did.
func (k *kind[T]) mark(ctx context.Context, key, mark string) bool {
	return k.cache.do(ctx, "lock", func(ctx context.Context) error {
		return k.cache.client.Do(ctx, k.cache.client.B().Set().Key(key).Value(mark).Nx().Px(k.ttl).Build()).Error()
	}) == nil
}

func (k *kind[T]) loadAndStore(ctx context.Context, id int32, key, mark string) (*T, error) {
	k.results[miss].Inc()
	v, err := k.load(ctx, id)
	if err != nil {
		_ = k.cache.remove(ctx, []string{key}) // so that the next reader loads it; otherwise the mark expires
		return nil, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode for the cache: %w", err)
	}
	_ = k.cache.do(ctx, "store", func(ctx context.Context) error { // the value is returned in any case
		return store.Exec(ctx, k.cache.client, []string{key}, []string{mark, string(text)}).Error()
	})
	return v, nil
}
