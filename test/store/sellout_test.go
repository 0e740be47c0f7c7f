package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/stack"
)

const (
	buyers      = 10_000
	concurrency = 64
	units       = 1000
)

// TestTenThousandBuyersOfAThousandUnits: stock is not oversold, and each buyer gets at most one
// unit.
func TestTenThousandBuyersOfAThousandUnits(t *testing.T) {
	t.Parallel()
	s := start(t, withoutProducts)
	sale := s.openSale()
	sale.run(t)
	sale.check(t)
}

// TestTenThousandBuyersWhileTheDBServiceIsKilled kills the DB service in the middle of the sale.
// Every buyer retries with the same key until there is an answer.
func TestTenThousandBuyersWhileTheDBServiceIsKilled(t *testing.T) {
	t.Parallel()
	s := start(t, withoutProducts)
	sale := s.openSale()
	killed := make(chan error, 1)
	go func() {
		db := s.Process(stack.DB)
		<-sale.halfSold
		db.Kill()
		killed <- db.Start(t.Context())
	}()
	sale.run(t)
	if err := <-killed; err != nil {
		t.Fatalf("start the DB service again: %v", err)
	}
	sale.check(t)
	if sale.retries.Load() == 0 {
		t.Error("no request was retried while the DB service was down")
	}
}

// sale is a product with 1,000 units, and 10,000 buyers who want one each.
type sale struct {
	store    *store
	tokens   []string
	bodies   []string // of the responses 201, by buyer
	sold     atomic.Int64
	soldOut  atomic.Int64
	retries  atomic.Int64
	halfSold chan struct{}
}

// openSale adds the product, and creates the accounts directly in the database, because hashing
// 10,000 passwords would take minutes. It signs their tokens for the same reason.
func (s *store) openSale() *sale {
	s.t.Helper()
	s.signUp("1", "peter")
	s.do(call{
		method: "POST", path: "/api/v1/products", token: s.login("peter"), status: 201,
		body: fmt.Sprintf(`{"name":"The last hoodie","price":199,"stock":%d}`, units),
	})
	conn := s.connect()
	rows, err := conn.Query(s.t.Context(), `INSERT INTO users (sid, username, password_hash, role)
		SELECT 'b' || i, 'buyer' || i, 'none', 'customer' FROM generate_series(1, $1) i RETURNING id, sid, username`, buyers)
	if err != nil {
		s.t.Fatal(err)
	}
	keys, err := s.Keys()
	if err != nil {
		s.t.Fatal(err)
	}
	tokens, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		a := token.Account{Role: token.RoleCustomer}
		if err := row.Scan(&a.ID, &a.SID, &a.Username); err != nil {
			return "", err
		}
		return keys.Sign(a, time.Hour)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return &sale{store: s, tokens: tokens, bodies: make([]string, buyers), halfSold: make(chan struct{})}
}

// connect returns a connection to the store's database.
func (s *store) connect() *pgx.Conn {
	s.t.Helper()
	return database.Connect(s.t, s.databases)
}

// run lets all buyers order, and returns when all have an answer.
func (s *sale) run(t *testing.T) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= buyers {
					return
				}
				if err := s.buy(t.Context(), client, i); err != nil {
					t.Errorf("buyer %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// buy orders one unit, and retries until the answer is final.
func (s *sale) buy(ctx context.Context, client *http.Client, i int) error {
	for {
		status, body, err := s.ask(ctx, client, i)
		switch {
		case err != nil:
			return err
		case status == http.StatusCreated:
			s.bodies[i] = body
			if s.sold.Add(1) == units/2 {
				close(s.halfSold)
			}
			return nil
		case status == http.StatusConflict && strings.Contains(body, "out_of_stock"):
			s.soldOut.Add(1)
			return nil
		case status == http.StatusServiceUnavailable, status == http.StatusConflict && strings.Contains(body, "in_flight"):
			s.retries.Add(1)
			select {
			case <-time.After(20 * time.Millisecond): // shorter than Retry-After
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
			return fmt.Errorf("status %d: %s", status, body)
		}
	}
}

func (s *sale) ask(ctx context.Context, client *http.Client, i int) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.store.URL+"/api/v1/orders", strings.NewReader(`{"product_id":1,"quantity":1}`))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+s.tokens[i])
	request.Header.Set("Idempotency-Key", "the one I want")
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
		return 0, "", fmt.Errorf("503 without Retry-After: %s", b)
	}
	return response.StatusCode, string(b), err
}

// check compares the responses with the database.
func (s *sale) check(t *testing.T) {
	t.Helper()
	if s.sold.Load() != units || s.soldOut.Load() != buyers-units {
		t.Errorf("%d orders were placed and %d refused, want %d and %d", s.sold.Load(), s.soldOut.Load(), units, buyers-units)
	}
	conn := s.store.connect()
	var stock, orders, sold, twice int
	err := conn.QueryRow(t.Context(), `SELECT (SELECT stock FROM products), (SELECT count(*) FROM orders),
		(SELECT coalesce(sum(quantity), 0) FROM order_items), (SELECT count(*) - count(DISTINCT user_id) FROM orders)`).Scan(&stock, &orders, &sold, &twice)
	if err != nil {
		t.Fatal(err)
	}
	if stock != 0 || orders != units || sold != units || twice != 0 {
		t.Errorf("stock %d, %d orders of %d units, %d second orders of a buyer; want 0, %d, %d, 0", stock, orders, sold, twice, units, units)
	}
	// Every order that was answered 201 exists.
	var answered []int64
	for i, body := range s.bodies {
		if body == "" {
			continue
		}
		var o order
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			t.Errorf("buyer %d got %s: %v", i, body, err)
		}
		answered = append(answered, o.ID)
	}
	var stored int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM orders WHERE id = ANY($1)`, answered).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if stored != units {
		t.Errorf("the database has %d of the %d orders that were answered 201", stored, len(answered))
	}
	// A replay has the same body, byte for byte.
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	checked := 0
	for i, body := range s.bodies {
		if body == "" || checked == 50 {
			continue
		}
		checked++
		if status, again, err := s.ask(t.Context(), client, i); err != nil || status != http.StatusCreated || again != body {
			t.Errorf("buyer %d got %s; the replay is %d %s, %v", i, body, status, again, err)
		}
	}
}
