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
	buyers  = 10_000
	atATime = 64
	pieces  = 1000
)

// TestTenThousandBuyersForAThousandPieces lets 10,000 buyers, 64 at a time, at 1,000 pieces.
func TestTenThousandBuyersForAThousandPieces(t *testing.T) {
	t.Parallel()
	s := start(t, withoutProducts)
	sale := s.openSale()
	sale.run(t)
	sale.check(t)
}

// TestTheSameWithTheDBServiceKilled kills the DB service in the middle of the rush; every buyer asks again with the same key until
// there is an answer.
func TestTheSameWithTheDBServiceKilled(t *testing.T) {
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
	if sale.askedAgain.Load() == 0 {
		t.Error("nobody noticed that the DB service was killed")
	}
}

// sale is 1,000 pieces of a product, and 10,000 who want one.
type sale struct {
	store      *store
	tokens     []string
	bodies     []string // of those answered 201, by buyer
	sold       atomic.Int64
	soldOut    atomic.Int64
	askedAgain atomic.Int64
	halfSold   chan struct{}
}

// openSale puts the product on the shelf, and makes the accounts straight in the database: hashing 10,000 passwords would take
// minutes. Their tokens are signed here for the same reason.
func (s *store) openSale() *sale {
	s.t.Helper()
	s.signUp("1", "peter")
	s.do(call{
		method: "POST", path: "/api/v1/products", token: s.login("peter"), status: 201,
		body: fmt.Sprintf(`{"name":"The last hoodie","price":199,"stock":%d}`, pieces),
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

// connect opens the store's database behind its back.
func (s *store) connect() *pgx.Conn {
	s.t.Helper()
	return database.Connect(s.t, s.databases)
}

// run has all buyers buy.
func (s *sale) run(t *testing.T) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atATime}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range atATime {
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

// buy asks for a piece until there is an answer that is final.
func (s *sale) buy(ctx context.Context, client *http.Client, i int) error {
	for {
		status, body, err := s.ask(ctx, client, i)
		switch {
		case err != nil:
			return err
		case status == http.StatusCreated:
			s.bodies[i] = body
			if s.sold.Add(1) == pieces/2 {
				close(s.halfSold)
			}
			return nil
		case status == http.StatusConflict && strings.Contains(body, "out_of_stock"):
			s.soldOut.Add(1)
			return nil
		case status == http.StatusServiceUnavailable, status == http.StatusConflict && strings.Contains(body, "in_flight"):
			s.askedAgain.Add(1)
			select {
			case <-time.After(20 * time.Millisecond): // as the answer asks, only less patiently
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

// check compares what buyers were told with what the database holds.
func (s *sale) check(t *testing.T) {
	t.Helper()
	if s.sold.Load() != pieces || s.soldOut.Load() != buyers-pieces {
		t.Errorf("%d were told that they have one, %d that it is sold out; want %d and %d", s.sold.Load(), s.soldOut.Load(), pieces, buyers-pieces)
	}
	conn := s.store.connect()
	var stock, orders, sold, twice int
	err := conn.QueryRow(t.Context(), `SELECT (SELECT stock FROM products), (SELECT count(*) FROM orders),
		(SELECT coalesce(sum(quantity), 0) FROM order_items), (SELECT count(*) - count(DISTINCT user_id) FROM orders)`).Scan(&stock, &orders, &sold, &twice)
	if err != nil {
		t.Fatal(err)
	}
	if stock != 0 || orders != pieces || sold != pieces || twice != 0 {
		t.Errorf("stock %d, %d orders of %d pieces, %d by who has one already; want 0, %d, %d, 0", stock, orders, sold, twice, pieces, pieces)
	}
	// Whoever was told 201 has that very order.
	var told []int64
	for i, body := range s.bodies {
		if body == "" {
			continue
		}
		var o order
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			t.Errorf("buyer %d was told %s: %v", i, body, err)
		}
		told = append(told, o.ID)
	}
	var held int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM orders WHERE id = ANY($1)`, told).Scan(&held); err != nil {
		t.Fatal(err)
	}
	if held != pieces {
		t.Errorf("the database holds %d of the %d orders that were answered 201", held, len(told))
	}
	// Asking again tells the same, to the letter.
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	checked := 0
	for i, body := range s.bodies {
		if body == "" || checked == 50 {
			continue
		}
		checked++
		if status, again, err := s.ask(t.Context(), client, i); err != nil || status != http.StatusCreated || again != body {
			t.Errorf("buyer %d was told %s; asking again tells %d %s, %v", i, body, status, again, err)
		}
	}
}
