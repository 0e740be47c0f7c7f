package transfer

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// client returns a client whose body has n bytes, and the function that reads it.
func (m *Memory) client(t *testing.T, address, account string, n int) (*Client, func() error) {
	t.Helper()
	w := httptest.NewRecorder()
	_, c := m.NewClient(t.Context(), func() string { return address }, w)
	c.SetAccount(account)
	body := c.Body(io.NopCloser(strings.NewReader(strings.Repeat("x", n))), w, 1000)
	return c, func() error {
		_, err := io.ReadAll(body)
		return err
	}
}

func TestBodiesShareTheMemory(t *testing.T) {
	t.Parallel()
	type sender struct {
		address, account string
		bytes            int
		want             error
	}
	for name, senders := range map[string][]sender{
		"an account has a quarter": {{"a", "peter", 100, nil}, {"b", "peter", 1, errShare}, {"b", "yoga", 100, nil}},
		"an address has half":      {{"a", "", 200, nil}, {"a", "yoga", 1, errShare}, {"b", "", 200, nil}},
		"all have all":             {{"a", "", 200, nil}, {"b", "", 200, nil}, {"c", "", 1, errFull}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := NewMemory(Settings{Memory: 400, MinRate: 1})
			for range 2 { // the second time, all that was held has been released
				var clients []*Client
				for i, s := range senders {
					c, read := m.client(t, s.address, s.account, s.bytes)
					clients = append(clients, c)
					if err := read(); !errors.Is(err, s.want) {
						t.Errorf("body %d: %v, want %v", i, err, s.want)
					}
				}
				for _, c := range clients {
					c.Release()
				}
			}
		})
	}
}

// TestClientsThatMakeNoProgressAreCutOff takes as long as a client may make none.
func TestClientsThatMakeNoProgressAreCutOff(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		request string
		serve   func(c *Client, w http.ResponseWriter, r *http.Request) error
	}{
		"a body of which only a part arrives": {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx", func(c *Client, w http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(io.Discard, c.Body(r.Body, w, 1000))
			return err
		}},
		"a response that is not read": {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", func(c *Client, w http.ResponseWriter, _ *http.Request) error {
			for {
				if err := c.Write(w, make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := NewMemory(Settings{Memory: 8 << 20, MinRate: 1000})
			ended := make(chan error, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, c := m.NewClient(r.Context(), func() string { return "a" }, w)
				defer c.Release()
				ended <- tt.serve(c, w, r)
			}))
			defer server.Close()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, tt.request); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(time.Minute):
				t.Error("it goes on")
				_ = conn.Close() // ends it
			}
		})
	}
}
