package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// attackers attack a store from one address, with one account.
type attackers struct {
	b        *bench
	api, db  string // addresses
	token    string
	stormed  string // token of an account
	original string // hash of a picture of 9 MB
	client   *http.Client

	product, customersProduct int32         // whose pictures are replaced
	pictureWait               time.Duration // of the customer
}

// drained reads a response to its end, so that its connection is used again.
func drained(resp *http.Response) { _, _ = io.Copy(io.Discard, resp.Body) }

// post sends a body and is not interested in the response.
func (a *attackers) post(ctx context.Context, path, token, body string) {
	_ = makeRequest(ctx, a.client, http.MethodPost, "http://"+a.api+path, token, body, 0)
}

// raw opens a connection, sends text, and returns it; nil if that fails.
func (a *attackers) raw(ctx context.Context, text string) net.Conn {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", a.api)
	if err != nil {
		return nil
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		_ = conn.Close()
		return nil
	}
	return conn
}

// wait reads and forgets until the connection or the attack ends.
func wait(conn net.Conn) {
	if conn != nil {
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
}

func (a *attackers) header(method, path string, length int, contentType string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: store\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		method, path, a.token, contentType, length)
}

// bodies sends all but the last byte: of 1 MB, of the most that is taken, and without an account.
func (a *attackers) bodies(ctx context.Context) {
	together(ctx, 250, func(i int) {
		size := []int{1 << 20, 8 << 10, 32 << 10, 8 << 10}[i%4]
		path := []string{"/api/v1/orders", "/api/v1/users/login", "/api/v1/products", "/api/signup"}[i%4]
		wait(a.raw(ctx, a.header("POST", path, size, "application/json")+strings.Repeat(" ", size-1)))
	})
}

// lists reads the items a little at a time.
func (a *attackers) lists(ctx context.Context) {
	together(ctx, 32, func(int) { slowly(ctx, a.raw(ctx, a.header("GET", "/api/items", 0, "text/plain"))) })
}

// slowly reads 4 KB five times a second.
func slowly(ctx context.Context, conn net.Conn) {
	if conn == nil {
		_ = pause(ctx, 100*time.Millisecond)
		return
	}
	defer conn.Close()
	for {
		if _, err := io.CopyN(io.Discard, conn, 4<<10); err != nil {
			return
		}
		_ = pause(ctx, 200*time.Millisecond)
	}
}

func (a *attackers) orderPages(ctx context.Context) {
	together(ctx, 64, func(int) {
		_ = makeRequest(ctx, a.client, http.MethodGet, "http://"+a.api+"/api/v1/orders?limit=200", a.token, "", 0)
	})
}

func (a *attackers) nonsense(ctx context.Context) {
	order := func(lines int) string {
		return `{"items":[` + strings.TrimSuffix(strings.Repeat(`{"product_id":1,"quantity":0},`, lines), ",") + `]}`
	}
	bodies := []string{order(33_000), order(160)}
	together(ctx, 8, func(i int) { a.post(ctx, "/api/v1/orders", a.token, bodies[i%2]) })
}

func (a *attackers) passwords(ctx context.Context) {
	together(ctx, 64, func(int) {
		_ = makeRequest(ctx, a.client, http.MethodPatch, "http://"+a.api+"/api/v1/users/x", a.stormed,
			`{"password":"correct-horse","current_password":"wrong"}`, 0)
	})
}

// rpc sends orders of 4 MB straight to the DB service, over connections of their own.
func (a *attackers) rpc(ctx context.Context) {
	order := new(merchstorev1.PlaceOrderRequest)
	order.ProtoReflect().SetUnknown([]byte(strings.Repeat("\x0a\x00", 2<<20))) // empty lines, encoded already
	together(ctx, 8, func(int) {
		conn, err := grpc.NewClient(a.db, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = merchstorev1.NewDBServiceClient(conn).PlaceOrder(ctx, order)
	})
}

// slow uploads 20 pictures and reads 20 originals, each a little at a time.
func (a *attackers) slow(ctx context.Context) {
	upload := a.header("PUT", "/api/v1/products/1/image", 10<<20, "image/jpeg")
	together(ctx, 40, func(i int) {
		if i%2 == 0 {
			slowly(ctx, a.raw(ctx, a.header("GET", "/pictures/"+a.original+"/original", 0, "text/plain")))
			return
		}
		conn := a.raw(ctx, upload)
		if conn == nil {
			_ = pause(ctx, 100*time.Millisecond)
			return
		}
		defer conn.Close()
		chunk := strings.Repeat("x", 10<<10)
		for {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
			_ = pause(ctx, 500*time.Millisecond)
		}
	})
}

func (a *attackers) guesses(ctx context.Context) {
	together(ctx, 32, func(i int) {
		a.post(ctx, "/api/v1/users/login", "", fmt.Sprintf(`{"username":"guessed","password":"guess-%d"}`, i))
	})
}

// logInAgain logs in as the customer whose password is guessed, from the address of customers.
func (a *attackers) logInAgain(ctx context.Context) error {
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(customerAddr)}}).DialContext}
	defer transport.CloseIdleConnections()
	return makeRequest(ctx, &http.Client{Transport: transport}, http.MethodPost, "http://"+a.api+"/api/v1/users/login", "",
		`{"username":"guessed","password":"correct-horse"}`, http.StatusOK)
}
