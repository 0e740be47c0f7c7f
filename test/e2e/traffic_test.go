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
	// pause is the interval of a buyer, who sends an order and a read: together about 150 requests
	// per second.
	pause = 100 * time.Millisecond
	stock = 1_000_000

	password = "a long password" // of each buyer
)

// traffic simulates buyers who order and read continuously. If there is no answer, or one that says
// to retry, they retry with the same key, and record the failure.
type traffic struct {
	admin   string
	product int64
	buyers  []*buyer
	round   string // makes keys of different runs unique

	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	failures []error         // since mark
	requests int             // since mark
	ids      map[string]bool // of all requests that were answered
	failed   []string        // ids of requests that were answered with a status of 500 or more
	orders   int             // that were answered 201
	ordered  time.Time       // the latest of these, or mark
	gap      time.Duration   // the longest time without one since mark
}

type buyer struct {
	name, token string
	client      *http.Client
	placed      map[int64]string // the keys of orders that were answered 201
}

// openShop creates a product and accounts that are unique to this run.
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

// must sends a POST request, once. The test fails unless it succeeds.
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

// open starts the traffic. close stops it and waits for all answers.
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
		s.recordOrder()
		s.insist(b, http.MethodGet, fmt.Sprintf("/api/v1/products/%d", s.product), "", "", http.StatusOK, nil)
	}
}

// patience bounds the retries of a request.
const patience = 2 * time.Minute

// insist sends a request until it has the wanted status.
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
		s.recordFailure(a, errors.Join(fmt.Errorf("%s %s %s: %d %s", time.Now().UTC().Format("15:04:05.000"), method, path, a.status, a.body), err))
		select {
		case <-time.After(100 * time.Millisecond): // shorter than Retry-After
		case <-ctx.Done():
			s.recordFailure(answer{}, fmt.Errorf("%s %s was never answered: %w", method, path, errFatal))
			return
		}
	}
}

func (s *traffic) recordOrder() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.orders, s.gap, s.ordered = s.orders+1, max(s.gap, now.Sub(s.ordered)), now
}

// awaitOrders waits until as many orders are placed as there are buyers.
func (s *traffic) awaitOrders(c cluster) {
	c.t.Helper()
	count := func() int { s.mu.Lock(); defer s.mu.Unlock(); return s.orders }
	wanted := count() + len(s.buyers)
	c.eventually("orders are placed", func() bool { return count() >= wanted })
}

// errFatal marks failures that a retry does not solve.
var errFatal = errors.New("not retryable")

// recordFailure records a failure. It is fatal unless there was no answer, or one that says to
// retry.
func (s *traffic) recordFailure(a answer, err error) {
	retryable := a.status == 0 || a.status == http.StatusServiceUnavailable && a.retryAfter ||
		a.status == http.StatusConflict && bytes.Contains(a.body, []byte("in_flight"))
	if !retryable {
		err = errors.Join(err, errFatal)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, err)
}

type answer struct {
	status     int
	body       []byte
	retryAfter bool // it has a Retry-After
}

// ask sends a request once. The body cannot be read twice, so that http.Client does not silently
// retry when a connection breaks.
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
	// Half of the requests use new connections, as new clients do: each could reach a pod that is
	// gone.
	request.Close = method == http.MethodGet
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := b.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	output, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if response.StatusCode < 300 {
		s.ids[response.Header.Get("X-Request-Id")] = true
	} else if id := response.Header.Get("X-Request-Id"); response.StatusCode >= 500 && id != "" {
		s.failed = append(s.failed, id)
	}
	return answer{response.StatusCode, output, response.Header.Get("Retry-After") != ""}, nil
}

// mark resets the recorded failures.
func (s *traffic) mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures, s.requests, s.gap, s.ordered = nil, 0, 0, time.Now()
}

// longestGap returns the longest time without a successful order since mark.
func (s *traffic) longestGap() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.gap, time.Since(s.ordered)).Round(100 * time.Millisecond)
}

// nothingFailed checks that no request has failed since mark.
func (s *traffic) nothingFailed(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests == 0 {
		t.Error("there was no traffic")
	}
	if n := len(s.failures); n > 0 {
		t.Errorf("%d of %d requests failed, the first ones:\n%v", n, s.requests, errors.Join(s.failures[:min(n, 10)]...))
	}
	t.Logf("%d requests", s.requests)
}

// onlyRetries checks that since mark no request has failed after its retries.
func (s *traffic) onlyRetries(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests == 0 {
		t.Error("there was no traffic")
	}
	for _, err := range s.failures {
		if errors.Is(err, errFatal) {
			t.Error(err)
		}
	}
	t.Logf("%d requests, %d retries, at most %s without a successful order", s.requests, len(s.failures), s.gap.Round(100*time.Millisecond))
}
