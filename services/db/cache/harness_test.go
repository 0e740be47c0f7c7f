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

// shelf is what is cached. It counts who reads, and can hold back what was read.
type shelf struct {
	mu       sync.Mutex
	products map[int32]shop.Product
	users    map[int32]shop.User
	reads    int
	broken   error
	has      chan struct{} // gets a message when something was read that is held back
	release  chan struct{} // lets one go; nil: nothing is held back
}

func newShelf() *shelf {
	mug := shop.Product{
		ID: 7, Name: "Mug", Price: 4950, Stock: 3, Version: 1, CreatedAt: time.Unix(1, 5000).UTC(),
		Picture: &shop.Picture{Hash: shop.PictureHash{1, 2, 255}, Status: shop.PictureReady},
	}
	peter := shop.User{ID: 1, SID: "12113053", Username: "peter", Email: "p@example.com", Active: true}
	return &shelf{products: map[int32]shop.Product{7: mug}, users: map[int32]shop.User{1: peter}}
}

func read[T any](ctx context.Context, s *shelf, from map[int32]T, id int32) (*T, error) {
	s.mu.Lock()
	s.reads++
	v, found := from[id]
	err, release := s.broken, s.release
	s.mu.Unlock()
	if release != nil {
		s.has <- struct{}{}
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

func (s *shelf) ProductByID(ctx context.Context, id int32) (*shop.Product, error) {
	return read(ctx, s, s.products, id)
}

func (s *shelf) StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error)) {
	return func() (*shop.User, error) { return read(ctx, s, s.users, id) }
}

// sell changes a product, as a transaction that has committed.
func (s *shelf) sell(id int32) (version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.products[id]
	p.ID, p.Stock, p.Version = id, p.Stock-1, p.Version+1
	s.products[id] = p
	return p.Version
}

func (s *shelf) readsSoFar() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// holdBack has what is read from now on wait.
func (s *shelf) holdBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has, s.release = make(chan struct{}, 1000), make(chan struct{})
}

// letGo lets everything go, also what is read from now on.
func (s *shelf) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.release)
	s.release = nil
}

// process is a cache as one process has it.
type process struct {
	*cache.Cache

	t        *testing.T
	registry *prometheus.Registry
}

func newProcess(t *testing.T, url string, source cache.Reader, change ...func(*cache.Settings)) *process {
	t.Helper()
	s, err := settings.Parse[cache.Settings]([]string{"CACHE_URL=" + url})
	if err != nil {
		t.Fatal(err)
	}
	s.TTL = time.Minute // nothing here is to wait for it
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

// start makes a process and waits until it uses the cache.
func start(t *testing.T, url string, source cache.Reader, change ...func(*cache.Settings)) *process {
	t.Helper()
	p := newProcess(t, url, source, change...)
	p.awaitUse()
	return p
}

func (p *process) awaitUse() {
	p.t.Helper()
	eventually.True(p.t, limit, "the cache to be used", func() bool { return p.sum("merchstore_cache_available", nil) == 1 })
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

// results are how reads of products ended.
func (p *process) results() map[string]int {
	p.t.Helper()
	counts := map[string]int{}
	for _, result := range []string{"local_hit", "hit", "miss", "bypass"} {
		if n := p.sum("merchstore_cache_requests_total", map[string]string{"kind": "product", "result": result}); n > 0 {
			counts[result] = n
		}
	}
	return counts
}

// version reads a product's version; 0 if there is none.
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
		p.t.Errorf("it reads version %d, want %d", got, version)
	}
}

// look opens the server behind the caches' back.
func look(t *testing.T, server *valkey.Server) rueidis.Client {
	t.Helper()
	option, err := rueidis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	option.ForceSingleClient, option.DisableCache = true, true
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
