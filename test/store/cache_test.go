package store

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/stack"
	"merchstore.io/merchstore/test/valkey"
)

// cached is a store with two APIs and two DB services that share a cache.
type cached struct {
	*store

	server *valkey.Server
	apis   []*stack.Stack // each calls another DB service
}

func startCached(t *testing.T) *cached {
	t.Helper()
	server := valkey.Start(t)
	s := start(t, func(o *stack.Options) {
		o.Replicas = map[string]int{stack.API: 2, stack.DB: 2}
		o.Env = map[string]map[string]string{stack.DB: {"CACHE_URL": server.URL()}}
	})
	second := *s.Stack
	second.URL = s.Process("api-2").URL()
	c := &cached{store: s, server: server, apis: []*stack.Stack{s.Stack, &second}}
	c.awaitUse()
	return c
}

// dbs returns the names of the DB services.
func (c *cached) dbs() []string { return []string{stack.DB, "db-2"} }

func (c *cached) awaitUse() {
	c.t.Helper()
	for _, db := range c.dbs() {
		eventually.True(c.t, 30*time.Second, db+" to use the cache", func() bool { return c.metric(db, "merchstore_cache_available") == 1 })
	}
}

// hits returns the number of reads that were answered from the process's own cache.
func (c *cached) hits(db string) int {
	c.t.Helper()
	read, err := metrics.Read(c.t.Context(), c.OpsURL(db))
	if err != nil {
		c.t.Fatal(err)
	}
	return int(read.Sum("merchstore_cache_requests_total", map[string]string{"result": "local_hit"}))
}

// ask sends a request to one of the APIs. It may be called by any goroutine.
func (c *cached) ask(api int, method, path, token string, body any, status int) ([]byte, error) {
	got, answer, err := c.apis[api].Do(c.t.Context(), method, path, token, body)
	if err == nil && got != status {
		err = fmt.Errorf("%s %s: status %d, want %d: %s", method, path, got, status, answer)
	}
	return answer, err
}

// stock returns the stock of a product according to one of the APIs.
func (c *cached) stock(api int, token string, id int32) (int32, error) {
	answer, err := c.ask(api, http.MethodGet, fmt.Sprintf("/api/v1/products/%d", id), token, nil, http.StatusOK)
	if err != nil {
		return 0, err
	}
	var p product
	err = json.Unmarshal(answer, &p)
	return p.Stock, err
}

// newProduct adds a product and returns its id.
func (c *cached) newProduct(token string, stock int) int32 {
	c.t.Helper()
	body := fmt.Sprintf(`{"name":"Mug","price":49.5,"stock":%d}`, stock)
	return decode[product](c.t, c.do(call{method: "POST", path: "/api/v1/products", token: token, body: body, status: 201})).ID
}

// TestWritesAreSeenThroughEveryAPI: at once through the API that wrote, and through the other, but for
// a few on a busy machine, long before the cached value expires.
func TestWritesAreSeenThroughEveryAPI(t *testing.T) {
	t.Parallel()
	const soon, timeToLive = time.Second, 10 * time.Second
	var late atomic.Int32 // writes that were not seen soon
	c := startCached(t)
	c.signUp("1", "peter")
	token := c.login("peter")
	write := func(api int, id, stock int32) error {
		path := fmt.Sprintf("/api/v1/products/%d", id)
		if _, err := c.ask(api, http.MethodPatch, path, token, map[string]any{"stock": stock}, http.StatusOK); err != nil {
			return err
		}
		written := time.Now()
		got, err := c.stock(api, token, id)
		if err != nil {
			return err
		}
		if got != stock {
			return fmt.Errorf("%d was written through API %d, which reads %d", stock, api+1, got)
		}
		for {
			got, err := c.stock(1-api, token, id)
			took := time.Since(written)
			if got == stock && took > soon {
				late.Add(1)
			}
			if err != nil || got == stock {
				return err
			}
			if took > timeToLive+soon {
				return fmt.Errorf("%d was written through API %d, and the other still reads %d", stock, api+1, got)
			}
		}
	}
	const writers, writes = 6, 200
	var wg sync.WaitGroup
	for range writers {
		id := c.newProduct(token, 0)
		wg.Go(func() {
			for n := range int32(writes) {
				if err := write(int(n)%2, id, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	// On a machine that is busy enough, a process finds the cache unavailable for a moment.
	if n := late.Load(); n > writers*writes/20 {
		t.Errorf("%d of %d writes were seen after more than %s", n, writers*writes, soon)
	}
	for _, db := range c.dbs() {
		if c.hits(db) == 0 {
			t.Errorf("%s has no cache hits", db)
		}
	}
}

// TestAnEndedSessionIsRefusedEverywhere: both DB services have cached the account. Its token is
// rejected at once where the session was ended, and within a second by the other.
func TestAnEndedSessionIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	c := startCached(t)
	c.signUp("0", "admin")
	ends := []struct {
		method, path string
		body         any
	}{
		{http.MethodPost, "/deactivate", nil},
		{http.MethodPost, "/logout", nil},
		{http.MethodPatch, "", map[string]string{"password": "another password", "current_password": goodPassword}},
	}
	for i := range 12 {
		end, name := ends[i/2%len(ends)], fmt.Sprintf("peter%d", i)
		u := c.signUp(fmt.Sprint(100+i), name)
		token := c.login(name)
		for range 3 {
			for api := range c.apis {
				if _, err := c.stock(api, token, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		here, there := i%2, 1-i%2
		if _, err := c.ask(here, end.method, "/api/v1/users/"+u.SID+end.path, token, end.body, http.StatusOK); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ask(here, http.MethodGet, "/api/v1/products/1", token, nil, http.StatusUnauthorized); err != nil {
			t.Error(err)
		}
		for ended := time.Now(); ; {
			asked := time.Now()
			_, err := c.ask(there, http.MethodGet, "/api/v1/products/1", token, nil, http.StatusUnauthorized)
			if err == nil {
				break
			}
			if asked.Sub(ended) > time.Second {
				t.Errorf("after a second: %v", err)
				break
			}
		}
	}
}

// TestCacheOutageUnderTraffic: the cache is killed, restarted, paused and resumed. No request
// fails, and the stock is exact.
func TestCacheOutageUnderTraffic(t *testing.T) {
	t.Parallel()
	c := startCached(t)
	c.signUp("1", "peter")
	token := c.login("peter")
	const units = 1_000_000
	id := c.newProduct(token, units)

	var reads, orders atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	for i := range 8 {
		wg.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				if i < 2 {
					_, err = c.ask(n%2, http.MethodPost, "/api/v1/orders", token, map[string]any{"product_id": id, "quantity": 1}, http.StatusCreated)
					orders.Add(1)
				} else {
					_, err = c.stock(n%2, token, id)
					reads.Add(1)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	// More requests than are in flight at once, so that the last ones began in the cache's current
	// state.
	awaitRequests := func(what string) {
		from := reads.Load()
		was := orders.Load()
		eventually.True(t, time.Minute, what, func() bool { return t.Failed() || reads.Load() > from+200 && orders.Load() > was+20 })
	}
	awaitFailure := func() {
		for _, db := range c.dbs() {
			eventually.True(t, 30*time.Second, db+" to stop using the cache", func() bool { return c.metric(db, "merchstore_cache_available") == 0 })
		}
	}
	awaitRequests("requests with the cache")
	c.server.Kill()
	awaitFailure()
	awaitRequests("requests without the cache")
	if err := c.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitUse()
	awaitRequests("requests with the cache again")
	if err := c.server.Pause(); err != nil {
		t.Fatal(err)
	}
	awaitFailure()
	awaitRequests("requests with a cache that hangs")
	if err := c.server.Resume(); err != nil {
		t.Fatal(err)
	}
	c.awaitUse()
	awaitRequests("requests with the cache at the end")
	end()
	wg.Wait()

	t.Logf("%d reads, %d orders", reads.Load(), orders.Load())
	if stored := c.count(`SELECT count(*) FROM orders`); stored != int(orders.Load()) {
		t.Errorf("%d orders were answered, the database has %d", orders.Load(), stored)
	}
	for api := range c.apis {
		eventually.NoError(t, time.Second, "the remaining stock", func() error {
			got, err := c.stock(api, token, id)
			if err == nil && int64(got) != units-orders.Load() {
				err = fmt.Errorf("API %d has a stock of %d of %d after %d orders", api+1, got, units, orders.Load())
			}
			return err
		})
	}
}
