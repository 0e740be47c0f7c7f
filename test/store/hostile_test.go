package store

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/stack"
)

// raw sends text and returns the connection.
func (s *store) raw(text string) net.Conn {
	s.t.Helper()
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// status reads a response and returns its status.
func (s *store) status(conn net.Conn) int {
	s.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func head(method, path, token, contentType string, length int) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: store\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		method, path, token, contentType, length)
}

// Bodies that do not arrive are refused or cut off, and take nobody else's place.
func TestBodiesThatDoNotArrive(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *stack.Options) {
		o.Env = map[string]map[string]string{stack.API: {"BODY_MEMORY": "42205184", "READ_TIMEOUT": "60s", "BODY_MIN_RATE": "1000000"}}
	})
	s.signUp("1", "peter")
	s.signUp("2", "yoga")
	s.signUp("3", "paul")
	peter, yoga, paul := s.login("peter"), s.login("yoga"), s.login("paul")
	t.Run("are refused or cut off", func(t *testing.T) {
		for name, tt := range map[string]struct {
			text string
			want int
		}{
			"a form without an account":           {head("POST", "/api/v1/products", "", "multipart/form-data; boundary=x", 10<<20), 401},
			"a picture without an account":        {head("PUT", "/api/v1/products/1/image", "", "image/png", 10<<20), 401},
			"an order of 1 MB":                    {head("POST", "/api/v1/orders", peter, "application/json", 1<<20), 413},
			"a login of 1 MB":                     {head("POST", "/api/v1/users/login", "", "application/json", 1<<20), 413},
			"an order without its last byte":      {head("POST", "/api/v1/orders", peter, "application/json", 8<<10) + strings.Repeat(" ", 8<<10-1), 408},
			"a picture that stops after its half": {head("PUT", "/api/v1/products/1/image", peter, "image/png", 10<<20) + strings.Repeat("x", 5<<20), 408},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if got := s.status(s.raw(tt.text)); got != tt.want {
					t.Errorf("status %d, want %d", got, tt.want)
				}
			})
		}
	})
	t.Run("are taken from two people behind one address", func(t *testing.T) {
		const size = 9 << 20
		bodies := map[string]net.Conn{}
		for _, token := range []string{peter, yoga} {
			bodies[token] = s.raw(head("PUT", "/api/v1/products/1/image", token, "image/png", size) + strings.Repeat("x", size-1))
		}
		for token, want := range map[string]int{peter: 422, yoga: 403} { // an admin's picture is read, and another's not
			if _, err := bodies[token].Write([]byte("x")); err != nil {
				t.Error(err)
			}
			if got := s.status(bodies[token]); got != want {
				t.Errorf("status %d, want %d", got, want)
			}
		}
	})
	t.Run("leave room for others", func(t *testing.T) { // after them, since they have the same address
		for range 4 { // more than the share of an account
			s.raw(head("PUT", "/api/v1/products/1/image", paul, "image/png", 10<<20) + strings.Repeat("x", 2<<20))
		}
		s.do(call{method: "GET", path: "/api/v1/products", token: yoga, status: 200})
	})
}

func TestOrdersOfManyLines(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("1", "peter")
	peter := s.login("peter")
	lines := func(n int) string {
		return `{"items":[` + strings.TrimSuffix(strings.Repeat(`{"product_id":1,"quantity":0},`, n), ",") + `]}`
	}
	for n, tt := range map[int]struct{ status, errors int }{33_000: {413, 0}, 51: {422, 1}, 50: {422, 20}} {
		p := s.doProblem(fmt.Sprint(n, " lines"), call{method: "POST", path: "/api/v1/orders", token: peter, body: lines(n), status: tt.status})
		if len(p.Errors) != tt.errors {
			t.Errorf("%d lines: %d errors, want %d", n, len(p.Errors), tt.errors)
		}
	}
}

// The lists without pages have no end, and clients that read them slowly keep nobody waiting.
func TestLongLists(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("1", "peter")
	if _, err := database.Connect(t, s.databases).Exec(t.Context(),
		`INSERT INTO items (name, description) SELECT repeat('€', 100), repeat('€', 300) FROM generate_series(1, 20450)`); err != nil {
		t.Fatal(err)
	}
	for range 64 {
		s.raw("GET /api/items HTTP/1.1\r\nHost: store\r\n\r\n") // and never reads
	}
	items := decode[[]struct{ ID int }](t, s.do(call{method: "GET", path: "/api/items", status: 200}))
	for i, item := range items {
		if item.ID != i+1 {
			t.Fatalf("item %d is %d", i+1, item.ID)
		}
	}
	if len(items) != 20450 {
		t.Errorf("%d items", len(items))
	}
	s.do(call{method: "DELETE", path: "/api/items/7", token: s.login("peter"), status: 200})
}

// Clients that read originals slowly keep nobody waiting, and an original arrives whole, in parts.
func TestOriginals(t *testing.T) {
	t.Parallel()
	s := start(t)
	const size = 3_000_000
	var hash string
	err := database.Connect(t, s.databases).QueryRow(t.Context(), `
		WITH o AS (SELECT convert_to(string_agg(lpad(i::text, 10, '0'), ''), 'UTF8') AS original FROM generate_series(1, $1) i)
		INSERT INTO pictures (hash, status, original_type, original, sizes_type, thumbnail, card, full_size)
		SELECT sha256(original), 'ready', 'image/jpeg', original, 'image/jpeg', '', '', '' FROM o
		RETURNING encode(hash, 'hex')`, size/10).Scan(&hash)
	if err != nil {
		t.Fatal(err)
	}
	path := "/pictures/" + hash + "/original"
	for range 40 {
		s.raw("GET " + path + " HTTP/1.1\r\nHost: store\r\n\r\n") // and never reads
	}
	whole := s.do(call{method: "GET", path: path, status: 200})
	if got := fmt.Sprintf("%x", sha256.Sum256(whole.body)); got != hash {
		t.Errorf("%d bytes arrive, of another content", len(whole.body))
	}
	part := s.do(call{method: "GET", path: path, header: http.Header{"Range": {"bytes=131060-131089"}}, status: 206})
	if want := string(whole.body[131060:131090]); string(part.body) != want {
		t.Errorf("a range is %q, want %q", part.body, want)
	}
}

// A password change is a guess at the password, like a login.
func TestPasswordChangesCountAsLogins(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *stack.Options) {
		o.Env = map[string]map[string]string{stack.API: {"LOGIN_RATE_PER_ACCOUNT": "1", "LOGIN_BURST_PER_ACCOUNT": "3"}}
	})
	s.signUp("1", "peter")
	s.signUp("2", "yoga")
	yoga := s.login("yoga") // the first attempt
	change := func(status int) {
		t.Helper()
		body, err := json.Marshal(map[string]string{"password": "another-password", "current_password": "wrong"})
		if err != nil {
			t.Fatal(err)
		}
		s.do(call{method: "PATCH", path: "/api/v1/users/2", token: yoga, body: string(body), status: status})
	}
	change(422)
	change(422)
	change(429)
	s.login("peter")
}
