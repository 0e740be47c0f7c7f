package cache_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/cache"
	"merchstore.io/merchstore/services/db/shop"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/valkey"
)

const limit = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is the cached Reader. It counts reads, and can block them.
type database struct {
	mu       sync.Mutex
	products map[int32]shop.Product
	users    map[int32]shop.User
	reads    int
	broken   error
	has      chan struct{} // receives a message for each blocked read
	release  chan struct{} // closed to unblock it; nil if reads are not blocked
}

func newDatabase() *database {
	mug := shop.Product{
		ID: 7, Name: "Mug", Price: 4950, Stock: 3, Version: 1, CreatedAt: time.Unix(1, 5000).UTC(),
		Picture: &shop.Picture{Hash: shop.PictureHash{1, 2, 255}, Status: shop.PictureReady},
	}
	peter := shop.User{ID: 1, SID: "12113053", Username: "peter", Email: "p@example.com", Active: true}
	return &database{products: map[int32]shop.Product{7: mug}, users: map[int32]shop.User{1: peter}}
}

func read[T any](ctx context.Context, d *database, from map[int32]T, id int32) (*T, error) {
	d.mu.Lock()
	d.reads++
	v, found := from[id]
	err, release := d.broken, d.release
	d.mu.Unlock()
	if release != nil {
		d.has <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil || !found {
		return nil, err
	}
	return &v, nil
}

func (d *database) ProductByID(ctx context.Context, id int32) (*shop.Product, error) {
	return read(ctx, d, d.products, id)
}

func (d *database) StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error)) {
	return func() (*shop.User, error) { return read(ctx, d, d.users, id) }
}

// sell changes a product, as a committed transaction does.
func (d *database) sell(id int32) (version int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.products[id]
	p.ID, p.Stock, p.Version = id, p.Stock-1, p.Version+1
	d.products[id] = p
	return p.Version
}

// deactivate changes an account, as a committed transaction does.
func (d *database) deactivate(id int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.users[id]
	u.Active = false
	d.users[id] = u
}

func (d *database) readsSoFar() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reads
}

// block blocks the next read until the returned function is called.
func (d *database) block() (unblock func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	release := make(chan struct{})
	d.has, d.release = make(chan struct{}), release
	return func() { close(release) }
}

// awaitBlocked waits until a read is blocked. Later ones are not.
func (d *database) awaitBlocked() {
	<-d.has
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release = nil
}

// process is the cache of one process.
type process struct {
	*cache.Cache

	t        *testing.T
	registry *prometheus.Registry
}

// start returns a process. By default its products are cached for a minute, which no test waits
// for.
func start(t *testing.T, url string, source cache.Reader, change ...func(*cache.Settings)) *process {
	t.Helper()
	s, err := settings.Parse[cache.Settings]([]string{"CACHE_URL=" + url})
	if err != nil {
		t.Fatal(err)
	}
	s.TTL = time.Minute
	for _, c := range change {
		c(&s)
	}
	p := &process{t: t, registry: prometheus.NewRegistry()}
	if p.Cache, err = cache.New(s, source, p.registry, slog.New(slog.NewTextHandler(t.Output(), nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// withTTL sets the time to live of products.
func withTTL(ttl time.Duration) func(*cache.Settings) {
	return func(s *cache.Settings) { s.TTL = ttl }
}

func (p *process) used() bool { return p.sum("merchstore_cache_available", nil) == 1 }

func (p *process) awaitUse() {
	p.t.Helper()
	eventually.True(p.t, limit, "the cache to be used", p.used)
}

func (p *process) sum(name string, labels map[string]string) int {
	p.t.Helper()
	gathered, err := p.registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	families := metrics.Families{}
	for _, f := range gathered {
		families[f.GetName()] = f
	}
	return int(families.Sum(name, labels))
}

// results returns the number of reads of a kind by result.
func (p *process) results(kind string) map[string]int {
	p.t.Helper()
	counts := map[string]int{}
	for _, result := range []string{"local_hit", "hit", "miss", "bypass"} {
		if n := p.sum("merchstore_cache_requests_total", map[string]string{"kind": kind, "result": result}); n > 0 {
			counts[result] = n
		}
	}
	return counts
}

// version returns the version of a product, or 0 if there is none.
func (p *process) version(id int32) int64 {
	p.t.Helper()
	product, err := p.ProductByID(p.t.Context(), id)
	if err != nil {
		p.t.Error(err)
	}
	if product == nil {
		return 0
	}
	return product.Version
}

func (p *process) want(id int32, version int64) {
	p.t.Helper()
	if got := p.version(id); got != version {
		p.t.Errorf("version %d, want %d", got, version)
	}
}

// active reports whether an account is active.
func (p *process) active(id int32) bool {
	p.t.Helper()
	u, err := p.StartUser(p.t.Context(), id)()
	if err != nil {
		p.t.Fatal(err)
	}
	return u.Active
}

// client returns a client of the server besides the processes.
func client(t *testing.T, server *valkey.Server) rueidis.Client {
	t.Helper()
	option, err := rueidis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	option.ForceSingleClient, option.DisableCache = true, true
	c, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
