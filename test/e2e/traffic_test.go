//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	buyers = 8
	// pause is what a buyer waits for after an order and a look at the product: together they make some 150 requests a second.
	pause = 100 * time.Millisecond
	stock = 1_000_000

	password = "a long password" // of each buyer
)

// traffic is people who buy and look around all the time. Who gets no answer, or one that says to come again, asks again with the
// same key until there is one, and remembers that it was so.
type traffic struct {
	admin   string
	product int64
	buyers  []*buyer
	round   string // keys of two runs on one store differ

	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	trouble  []error         // since mark
	requests int             // since mark
	ids      map[string]bool // of all requests that were answered
}

type buyer struct {
	name, token string
	client      *http.Client
	placed      map[int64]string // the keys of orders that were answered 201
}

// openShop makes the product, and accounts of its own for each run.
func openShop(t *testing.T, c cluster) *traffic {
	t.Helper()
	s := &traffic{ids: map[string]bool{}, round: fmt.Sprintf("%x", time.Now().UnixNano())}
	anyone := newBuyer("anyone")
	t.Cleanup(anyone.client.CloseIdleConnections)
	secret := func(key string) string {
		return c.kubectl("get", "secret", "store-admin", "--template={{ .data."+key+" | base64decode }}")
	}
	s.admin = s.login(t, anyone, secret("username"), secret("password"))
	anyone.token = s.admin
	var made struct{ ID int64 }
	s.must(t, anyone, "/api/v1/products", fmt.Sprintf(`{"name":"Hoodie %s","price":199,"stock":%d}`, s.round, stock), &made)
	s.product = made.ID
	for i := range buyers {
		b := newBuyer(fmt.Sprintf("buyer-%s-%d", s.round, i))
		s.must(t, b, "/api/v1/users/create", fmt.Sprintf(`{"sid":"%s","username":"%[1]s","email":"%[1]s@example.com","password":"%s"}`, b.name, password), nil)
		b.token = s.login(t, b, b.name, password)
		s.buyers = append(s.buyers, b)
	}
	return s
}

func newBuyer(name string) *buyer {
	return &buyer{name: name, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}, placed: map[int64]string{}}
}

func (s *traffic) login(t *testing.T, b *buyer, username, password string) string {
	t.Helper()
	var answer struct{ Token string }
	s.must(t, b, "/api/v1/users/login", fmt.Sprintf(`{"username":%q,"password":%q}`, username, password), &answer)
	return answer.Token
}

// must asks for something to be made, once.
func (s *traffic) must(t *testing.T, b *buyer, path, body string, into any) {
	t.Helper()
	a, err := s.ask(t.Context(), b, http.MethodPost, path, body, "")
	if err != nil || a.status >= 300 {
		t.Fatalf("POST %s: %d %s %v", path, a.status, a.body, err)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			t.Fatal(err)
		}
	}
}

// open begins the traffic, and close ends it when all that was begun is answered.
func (s *traffic) open() {
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	for _, b := range s.buyers {
		s.done.Go(func() { s.shop(ctx, b) })
	}
}

func (s *traffic) close() {
	s.stop()
	s.done.Wait()
	for _, b := range s.buyers {
		b.client.CloseIdleConnections()
	}
}

func (s *traffic) shop(ctx context.Context, b *buyer) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var order struct{ ID int64 }
		key := fmt.Sprintf("%s-%d-%d", s.round, len(b.placed), n)
		s.insist(b, http.MethodPost, "/api/v1/orders", fmt.Sprintf(`{"product_id":%d,"quantity":1}`, s.product), key, http.StatusCreated, &order)
		b.placed[order.ID] = key
		s.insist(b, http.MethodGet, fmt.Sprintf("/api/v1/products/%d", s.product), "", "", http.StatusOK, nil)
	}
}

// patience is how long somebody asks for the same again.
const patience = 2 * time.Minute

// insist asks until there is an answer.
func (s *traffic) insist(b *buyer, method, path, body, key string, want int, into any) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		a, err := s.ask(ctx, b, method, path, body, key)
		if err == nil && a.status == want {
			if into != nil {
				err = json.Unmarshal(a.body, into)
			}
			if err == nil {
				return
			}
		}
		s.complain(a, errors.Join(fmt.Errorf("%s %s %s: %d %s", time.Now().UTC().Format("15:04:05.000"), method, path, a.status, a.body), err))
		select {
		case <-time.After(100 * time.Millisecond): // less patient than the answer says
		case <-ctx.Done():
			s.complain(answer{}, fmt.Errorf("%s %s was never answered: %w", method, path, errFatal))
			return
		}
	}
}

// errFatal is about what must not happen to anybody, ever.
var errFatal = errors.New("not as promised")

// complain remembers what went wrong. Only no answer at all, and the two that say to come again, are forgivable.
func (s *traffic) complain(a answer, err error) {
	again := a.status == 0 || a.status == http.StatusServiceUnavailable && a.again ||
		a.status == http.StatusConflict && bytes.Contains(a.body, []byte("in_flight"))
	if !again {
		err = errors.Join(err, errFatal)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = append(s.trouble, err)
}

type answer struct {
	status int
	body   []byte
	again  bool // it says when to come again
}

// ask asks once. A body that can't be read twice keeps the client from sending it again without a word when a connection breaks.
func (s *traffic) ask(ctx context.Context, b *buyer, method, path, body, key string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, *address+path, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return answer{}, err
	}
	request.ContentLength = int64(len(body))
	request.Header.Set("Content-Type", "application/json")
	if b.token != "" {
		request.Header.Set("Authorization", "Bearer "+b.token)
	}
	// Half of all requests come over new connections, as those of new visitors do: each is a chance to be sent to a pod that is gone.
	request.Close = method == http.MethodGet
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := b.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if response.StatusCode < 300 {
		s.ids[response.Header.Get("X-Request-Id")] = true
	}
	return answer{response.StatusCode, said, response.Header.Get("Retry-After") != ""}, nil
}

// mark forgets what was before.
func (s *traffic) mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble, s.requests = nil, 0
}

// nothingFailed checks that since mark each request was answered at once, and as it should be.
func (s *traffic) nothingFailed(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests == 0 {
		t.Error("there was no traffic")
	}
	if n := len(s.trouble); n > 0 {
		t.Errorf("%d of %d requests failed, the first ones:\n%v", n, s.requests, errors.Join(s.trouble[:min(n, 10)]...))
	}
	t.Logf("%d requests", s.requests)
}

// nothingWorse checks that since mark nothing happened that asking again does not mend.
func (s *traffic) nothingWorse(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests == 0 {
		t.Error("there was no traffic")
	}
	for _, err := range s.trouble {
		if errors.Is(err, errFatal) {
			t.Error(err)
		}
	}
	t.Logf("%d requests, %d of them had to be made again", s.requests, len(s.trouble))
}
