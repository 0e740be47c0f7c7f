package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/token"
)

const (
	attackTime   = 10 * time.Second
	customers    = 3
	customerAddr = "127.0.0.9" // attackers have another
	maxP99       = 500 * time.Millisecond
	maxRefused   = 1.0 / 1000
	// maxPictureWait is one picture of the attacker's that is being decoded, and the customer's own.
	maxPictureWait = 15 * time.Second
)

// memoryLimits are those of the chart. A process beyond its limit is killed, as the kernel does.
var memoryLimits = map[string]uint64{"api": 256 << 20, "db": 512 << 20}

// hostile attacks a store of its own while a few customers read and buy.
func (b *bench) hostile(ctx context.Context) error {
	name := of(3)
	env := []string{
		"GOMEMLIMIT=230MiB",                                                                  // nine tenths of the API's limit
		"LOGIN_RATE_PER_ACCOUNT=20", "LOGIN_RATE_PER_ADDRESS=5", "SIGNUP_RATE_PER_ADDRESS=5", // the defaults
		"PASSWORD_QUEUE_PER_ACCOUNT=4", "ORDERS_PER_MINUTE=300", "PICTURE_BYTES_PER_HOUR=268435456",
	}
	if err := b.startStack(ctx, name, env...); err != nil {
		return err
	}
	if err := errors.Join(b.programs.stop("db"+name), b.startDBOf(ctx, name, append(env, "GOMEMLIMIT=460MiB")...)); err != nil {
		return err
	}
	a, err := b.newAttackers(ctx, name)
	if err != nil {
		return err
	}
	for _, attack := range []struct {
		name string
		run  func(context.Context)
	}{
		{"none", func(ctx context.Context) { <-ctx.Done() }},
		{"1: 250 bodies without their last byte", a.bodies},
		{"2: pictures that take long to decode", a.pictures},
		{"3: 32 slow readers of 19,000 items", a.lists},
		{"3: the longest pages of orders, 64 at once", a.orderPages},
		{"4: orders of 33,000 and of 160 lines", a.nonsense},
		{"5: a storm of password changes", a.passwords},
		{"6: 4 MB of order lines over gRPC, without a token", a.rpc},
		{"7: 20 slow uploads and 20 slow readers of an original", a.slow},
		{"8: guessing a customer's password", a.guesses},
	} {
		if err := b.attack(ctx, name, attack.name, attack.run); err != nil {
			return err
		}
	}
	if err := a.logInAgain(ctx); err != nil {
		return fmt.Errorf("the customer whose password was guessed: %w", err)
	}
	b.report.note("during attack 2, a customer's picture had its sizes %s after its upload", a.pictureWait.Round(100*time.Millisecond))
	if a.pictureWait > maxPictureWait {
		return fmt.Errorf("attack 2: a customer's picture had to wait for %s", a.pictureWait)
	}
	return b.stopStack(name)
}

// attack runs one attack, and reports what the customers noticed.
func (b *bench) attack(ctx context.Context, stack, name string, run func(context.Context)) error {
	limited, stop := context.WithTimeout(ctx, attackTime)
	defer stop()
	var wg sync.WaitGroup
	var most sync.Map // resident memory by process
	wg.Go(func() { run(limited) })
	for process, limit := range memoryLimits {
		wg.Go(func() { most.Store(process, holdTo(limited, b.programs.pids()[process+stack], limit)) })
	}
	var mu sync.Mutex
	var took []time.Duration
	var failures []error
	for i := range customers {
		wg.Go(func() {
			c := customer{b: b, stack: stack, account: b.users[i]}
			c.shop(limited)
			mu.Lock()
			defer mu.Unlock()
			took, failures = append(took, c.took...), append(failures, c.failures...)
		})
	}
	wg.Wait()
	p50, p99 := percentiles(took)
	all := len(took) + len(failures)
	api, _ := most.Load("api")
	db, _ := most.Load("db")
	b.report.note("| %s | %d | %d | %s | %s | %d | %d |", name, all, len(failures),
		p50.Round(100*time.Microsecond), p99.Round(100*time.Microsecond), api.(uint64)>>20, db.(uint64)>>20)
	for process := range memoryLimits {
		if syscall.Kill(b.programs.pids()[process+stack], 0) != nil {
			return fmt.Errorf("attack %s: %s has ended", name, process)
		}
	}
	if p99 > maxP99 || float64(len(failures)) > maxRefused*float64(all) {
		return fmt.Errorf("attack %s: p99 %s, %d of %d requests refused: %v", name, p99, len(failures), all, failures[:min(3, len(failures))])
	}
	return ctx.Err()
}

// holdTo kills a process that takes more memory than its limit, and returns the most that it took.
func holdTo(ctx context.Context, pid int, limit uint64) (most uint64) {
	for ctx.Err() == nil {
		n, _, err := memory(pid)
		if most = max(most, n); err == nil && n > limit {
			_ = syscall.Kill(pid, syscall.SIGKILL) // the attack's end reports it
		}
		_ = pause(ctx, 20*time.Millisecond)
	}
	return most
}

// customer reads and buys as people do: a page of products, a product, and sometimes an order.
type customer struct {
	b        *bench
	stack    string
	account  account
	took     []time.Duration
	failures []error
}

func (c *customer) shop(ctx context.Context) {
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(customerAddr)}}).DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	for i := 0; ctx.Err() == nil; i++ {
		method, path, body, want := http.MethodGet, fmt.Sprintf("/api/v1/products/%d", i%3+1), "", http.StatusOK
		switch i % 20 {
		case 0:
			method, path, body, want = http.MethodPost, "/api/v1/orders", `{"product_id":1,"quantity":1}`, http.StatusCreated
		case 5, 15:
			path = "/api/v1/products"
		}
		start := time.Now()
		// The context is not that of the attack: a request that its end cuts off is no failure.
		err := makeRequest(context.WithoutCancel(ctx), client, method, "http://"+c.b.addrs["api"+c.stack]+path, c.account.token, body, want)
		if err != nil {
			c.failures = append(c.failures, err)
		} else {
			c.took = append(c.took, time.Since(start))
		}
		_ = pause(ctx, 15*time.Millisecond)
	}
}

// makeRequest makes one request.
func makeRequest(ctx context.Context, client *http.Client, method, url, token, body string, want int) error {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	if strings.HasSuffix(url, "/image") {
		r.Header.Set("Content-Type", http.DetectContentType([]byte(body)))
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, url, err)
	}
	defer resp.Body.Close()
	if drained(resp); resp.StatusCode != want {
		return fmt.Errorf("%s %s: status %d", method, url, resp.StatusCode)
	}
	return nil
}

// together runs n attackers until ctx is done, each again and again.
func together(ctx context.Context, n int, attack func(i int)) {
	var wg sync.WaitGroup
	var rounds atomic.Int64
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				attack(int(rounds.Add(1)))
			}
		})
	}
	wg.Wait()
}

// newAttackers prepares the attacks: many items, a large picture, and two accounts.
func (b *bench) newAttackers(ctx context.Context, stack string) (*attackers, error) {
	a := &attackers{
		b: b, api: b.addrs["api"+stack], db: b.addrs["db"+stack], token: b.users[customers].token,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: attackTime},
	}
	conn, err := pgx.Connect(ctx, b.server.URL("merchstore"))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `INSERT INTO items (name, description)
		SELECT repeat('€', 100), repeat('€', 300) FROM generate_series(1, 19000)`); err != nil {
		return nil, fmt.Errorf("make items: %w", err)
	}
	err = conn.QueryRow(ctx, `INSERT INTO pictures (hash, original_type, original) VALUES (sha256('bench'), 'image/jpeg',
		decode(repeat('00', 9000000), 'hex')) RETURNING encode(hash, 'hex')`).Scan(&a.original)
	if err != nil {
		return nil, fmt.Errorf("make a picture: %w", err)
	}
	if err := b.makeProducts(ctx, conn, a); err != nil {
		return nil, err
	}
	for _, name := range []string{"stormed", "guessed"} {
		body := fmt.Sprintf(`{"username":%q,"password":"correct-horse"}`, name)
		if err := makeRequest(ctx, a.client, http.MethodPost, "http://"+a.api+"/api/signup", "", body, http.StatusCreated); err != nil {
			return nil, err
		}
	}
	if err := a.logInAgain(ctx); err != nil {
		return nil, err
	}
	a.stormed, err = b.tokenOf(ctx, conn, "stormed")
	return a, err
}

// makeProducts makes products of the attacker's with long names, orders of all of them, and a product
// of a customer's.
func (b *bench) makeProducts(ctx context.Context, conn *pgx.Conn, a *attackers) error {
	const insert = `INSERT INTO products (owner_id, name, price, stock) SELECT $1, repeat('𝄞', 100), 1, 1 FROM generate_series(1, $2) RETURNING id`
	for owner, product := range map[int32]*int32{b.users[customers].id: &a.product, b.users[0].id: &a.customersProduct} {
		if err := conn.QueryRow(ctx, insert, owner, 1).Scan(product); err != nil {
			return fmt.Errorf("make a product: %w", err)
		}
	}
	_, err := conn.Exec(ctx, `WITH lines AS (`+insert+`),
		made AS (INSERT INTO orders (user_id, total_price, created_at) SELECT $1, 1, now() FROM generate_series(1, 200) RETURNING id)
		INSERT INTO order_items (order_id, product_id, line, name, quantity, unit_price)
		SELECT made.id, lines.id, row_number() OVER (PARTITION BY made.id), repeat('𝄞', 100), 1, 1 FROM made, lines`, b.users[customers].id, 50)
	if err != nil {
		return fmt.Errorf("make long orders: %w", err)
	}
	return nil
}

// tokenOf signs a token of an account.
func (b *bench) tokenOf(ctx context.Context, conn *pgx.Conn, username string) (string, error) {
	var id int32
	var sid string
	if err := conn.QueryRow(ctx, `SELECT id, sid FROM users WHERE username = $1`, username).Scan(&id, &sid); err != nil {
		return "", fmt.Errorf("find %s: %w", username, err)
	}
	return b.keys.Sign(token.Account{ID: id, SID: sid, Username: username, Role: token.RoleCustomer}, time.Hour)
}
