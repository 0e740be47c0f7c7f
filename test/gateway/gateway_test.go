//go:build e2e

// Package gateway tests the chart's Ingress and HTTPRoute with a real controller, Traefik, and a real
// API server. The store runs beside them, as its EndpointSlices say. `make test-gateway` runs the
// tests in a network namespace, because EndpointSlices must not have addresses of 127.0.0.0/8.
package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/test/controlplane"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/stack"
)

// stream is longer than the controller's timeouts, which are set to timeout.
var stream = flag.Duration("stream", 20*time.Second, "how long an event stream is open")

const timeout = 10 * time.Second

// Addresses of 198.18.0.0/15, which is reserved for tests.
const (
	gatewayHost = "198.18.1.1" // also the source of the controller's connections
	gatewayPort = "8443"
	storeHost   = "198.18.1.2"
)

// hosts are the names of the store by the kind of object that routes them.
var hosts = map[string]string{"Ingress": "ingress.example.com", "HTTPRoute": "route.example.com"}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(controlplane.With(database.With(kafka.StopAfter(m), schema.Migrate), controlplane.GatewayAPI).Run())
}

func TestTheStoreBehindAGateway(t *testing.T) {
	broker := kafka.Shared(t)
	store := stack.Start(t, stack.Options{
		DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1), Host: storeHost,
		Env: map[string]map[string]string{
			stack.API: {"TRUSTED_PROXIES": gatewayHost, "LOGIN_RATE_PER_ADDRESS": "0.001", "LOGIN_BURST_PER_ADDRESS": "5"},
		},
	})
	admin := store.Account(t, "peter")
	authorities := startController(t, store.Process(stack.API).Addr())

	t.Run("each way in", func(t *testing.T) {
		n := 10
		for kind, host := range hosts {
			n += 10
			first, second := customer(t, host, n, authorities), customer(t, host, n+1, authorities)
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				t.Run("events are not held back, and a stream outlives timeouts", func(t *testing.T) {
					t.Parallel()
					second.follow(t, admin)
				})
				t.Run("a picture of 10 MB", func(t *testing.T) {
					t.Parallel()
					first.sendPicture(t, admin)
				})
				t.Run("the API knows that TLS and which host the client used", func(t *testing.T) {
					t.Parallel()
					second.startSession(t)
				})
				t.Run("clients have rate limits of their own", func(t *testing.T) {
					t.Parallel()
					limited := 0
					for range 6 {
						if status := first.logIn(t); status == http.StatusTooManyRequests {
							limited++
						}
					}
					if status := second.logIn(t); limited == 0 || status != http.StatusUnauthorized {
						t.Errorf("one client is limited %d times, then the other gets %d", limited, status)
					}
				})
			})
		}
	})
}

// client is a client with an address of its own.
type client struct {
	*http.Client

	url string
}

func customer(t *testing.T, host string, n int, authorities *x509.CertPool) client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(198, 18, 1, byte(n))}}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: authorities},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, net.JoinHostPort(gatewayHost, gatewayPort))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return client{&http.Client{Transport: transport}, "https://" + net.JoinHostPort(host, gatewayPort)}
}

// reply is a response.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// send sends a request, and pretends to be another client.
func (c client) send(t *testing.T, method, path, token string, header http.Header, body []byte) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", "203.0.113."+rand.Text()[:1])
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, answer}
}

func (c client) logIn(t *testing.T) (status int) {
	t.Helper()
	return c.send(t, http.MethodPost, "/api/v1/users/login", "", http.Header{"Content-Type": {"application/json"}},
		[]byte(`{"username":"nobody","password":"a password for tests"}`)).status
}

func (c client) startSession(t *testing.T) {
	t.Helper()
	r := c.send(t, http.MethodPost, "/api/v1/session", "", http.Header{"Content-Type": {"application/json"}, "Origin": {c.url}},
		[]byte(`{"username":"peter","password":"a password for tests"}`))
	if r.status != http.StatusOK || !strings.Contains(r.header.Get("Set-Cookie"), "Secure") {
		t.Errorf("status %d, cookie %q: %s", r.status, r.header.Get("Set-Cookie"), r.body)
	}
}

// uploads allows one at a time, because an account may have no more of this size.
var uploads sync.Mutex

// sendPicture sends a picture of nearly the largest size.
func (c client) sendPicture(t *testing.T, token string) {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 1800, 1800))
	if _, err := rand.Read(m.Pix); err != nil {
		t.Fatal(err)
	}
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, m); err != nil {
		t.Fatal(err)
	}
	if size := picture.Len(); size < 9<<20 || size > 10_000_000 {
		t.Fatalf("the picture has %d bytes", size)
	}
	uploads.Lock()
	defer uploads.Unlock()
	r := c.send(t, http.MethodPut, "/api/v1/products/1/image", token, http.Header{"Content-Type": {"image/png"}}, picture.Bytes())
	if r.status != http.StatusOK {
		t.Errorf("status %d: %s", r.status, r.body)
	}
}

// follow reads the live log until the stream has been open long enough.
func (c client) follow(t *testing.T, token string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/api/v1/logs", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := c.Do(request) //nolint:bodyclose // it is, also if the goroutine below still reads
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d", response.StatusCode)
	}
	lines := make(chan string)
	ended := make(chan error, 1)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
		ended <- errors.Join(scanner.Err(), errors.New("the stream has ended"))
	}()
	started, delay := time.Now(), 0*time.Second
	c.send(t, http.MethodGet, "/api/v1", "", nil, nil)
	seen := false
	for time.Since(started) < *stream {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatalf("after %v: %v", time.Since(started), <-ended)
			}
			if !seen && strings.Contains(line, "Accessed the welcome endpoint") {
				seen, delay = true, time.Since(started)
			}
		case <-time.After(20 * time.Second): // a heartbeat comes every 15 seconds
			t.Fatal("no event and no heartbeat")
		}
	}
	if !seen || delay > timeout {
		t.Errorf("the event of a request arrived: %v, after %v", seen, delay)
	}
	t.Logf("open for %v, an event came after %v", time.Since(started), delay)
}
