package client

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, url string, perSecond float64) *Client {
	t.Helper()
	c, err := New(url, perSecond, 4, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		header http.Header
		body   string
		want   Outcome
	}{
		"200":                            {status: 200, want: Success},
		"201":                            {status: 201, want: Success},
		"a replayed success":             {status: 201, header: http.Header{"Idempotent-Replayed": {"true"}}, want: Replayed},
		"304":                            {status: 304, want: NotModified},
		"out of stock":                   {status: 409, body: `{"code":"out_of_stock"}`, want: OutOfStock},
		"a replayed out of stock":        {status: 409, header: http.Header{"Idempotent-Replayed": {"true"}}, body: `{"code":"out_of_stock"}`, want: OutOfStock},
		"the first request is in flight": {status: 409, body: `{"code":"idempotency_key_in_flight"}`, want: InFlight},
		"another conflict":               {status: 409, body: `{"code":"already_cancelled"}`, want: Rejected},
		"a conflict without a problem":   {status: 409, body: `<html>`, want: Rejected},
		"a stale If-Match":               {status: 412, want: Stale},
		"an invalid request":             {status: 422, want: Rejected},
		"a redirect":                     {status: 302, want: Rejected},
		"a rate limit":                   {status: 429, want: RateLimited},
		"an unavailable dependency":      {status: 503, want: Unavailable},
		"a server error":                 {status: 500, want: ServerError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(test.status, test.header, []byte(test.body)); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestDelaysAreBoundedAndJittered(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ lowest, highest, wantLowest, wantHighest time.Duration }{
		"backoff after the first failure": {backoff(0, 0), backoff(0, 1), minBackoff / 2, minBackoff},
		"backoff after the third failure": {backoff(2, 0), backoff(2, 1), 2 * minBackoff, 4 * minBackoff},
		"backoff after many failures":     {backoff(1000, 0), backoff(1000, 1), maxBackoff / 2, maxBackoff},
		"Retry-After":                     {retryAfter("4", 0), retryAfter("4", 1), 4 * time.Second, 6 * time.Second},
		"Retry-After of 0":                {retryAfter("0", 0), retryAfter("0", 1), 0, 0},
		"Retry-After above the maximum":   {retryAfter("86400", 0), retryAfter("86400", 1), maxBackoff, maxBackoff * 3 / 2},
		"no Retry-After":                  {retryAfter("", 0), retryAfter("", 1), time.Second, time.Second * 3 / 2},
		"a negative Retry-After":          {retryAfter("-5", 0), retryAfter("-5", 1), time.Second, time.Second * 3 / 2},
	} {
		if test.lowest != test.wantLowest || test.highest != test.wantHighest {
			t.Errorf("%s: %s to %s, want %s to %s", name, test.lowest, test.highest, test.wantLowest, test.wantHighest)
		}
	}
}

// The transport is a function, because synctest's clock does not advance during network I/O.
func TestAllSessionsShareTheRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		c := newClient(t, "http://store", 5)
		c.http.Transport = transport(func(*http.Request) (int, string) { requests.Add(1); return http.StatusOK, "" })
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		for range 20 {
			go func() {
				session := Session{Client: c}
				for {
					if _, err := session.Send(ctx, Request{Method: http.MethodGet, Path: "/"}); err != nil {
						return
					}
				}
			}()
		}
		<-ctx.Done()
		synctest.Wait()
		if n := requests.Load(); n < 49 || n > 51 {
			t.Errorf("%d requests in ten seconds at five per second", n)
		}
	})
}

func TestSessionWaits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status          int
		retryAfter      string
		lowest, highest time.Duration // for three more requests
	}{
		"for Retry-After of a 503":         {http.StatusServiceUnavailable, "2", 6 * time.Second, 9 * time.Second},
		"for Retry-After of a 429":         {http.StatusTooManyRequests, "1", 3 * time.Second, 4500 * time.Millisecond},
		"exponentially longer after a 500": {http.StatusInternalServerError, "", 1750 * time.Millisecond, 3500 * time.Millisecond},
		"not after a success":              {http.StatusOK, "", 0, time.Second},
		"not after a rejected request":     {http.StatusUnprocessableEntity, "", 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, "http://store", 1000)
				c.http.Transport = transport(func(*http.Request) (int, string) { return test.status, test.retryAfter })
				session := Session{Client: c}
				start := time.Now()
				for range 4 {
					if _, err := session.Send(t.Context(), Request{Method: http.MethodGet, Path: "/"}); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(start); took < test.lowest || took > test.highest {
					t.Errorf("%s, want %s to %s", took, test.lowest, test.highest)
				}
			})
		})
	}
}

type transport func(*http.Request) (status int, retryAfter string)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	status, retryAfter := t(r)
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: http.NoBody, Request: r}, nil
}

func TestNoRequestGoesToAnotherHost(t *testing.T) {
	t.Parallel()
	var leaked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Add(1) }))
	defer other.Close()
	store := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer store.Close()

	session := Session{Client: newClient(t, store.URL, 1000)}
	for path, want := range map[string]Outcome{
		"/":                              Rejected,
		"@" + other.URL[len("http://"):]: NoResponse,
	} {
		r, err := session.Send(t.Context(), Request{Method: http.MethodGet, Path: path})
		if err != nil || r.Outcome != want {
			t.Errorf("%s: %s, %v", path, r.Outcome, err)
		}
	}
	if n := leaked.Load(); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
}

func TestTheEndOfTheContextDoesNotCancelARequestInFlight(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	store := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	defer store.Close()
	session := Session{Client: newClient(t, store.URL, 1000)}
	if r, err := session.Send(ctx, Request{Method: http.MethodGet, Path: "/"}); err != nil || r.Outcome != Success {
		t.Errorf("%s, %v", r.Outcome, err)
	}
	if _, err := session.Send(ctx, Request{Method: http.MethodGet, Path: "/"}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestNewRejectsInvalidURLs(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "127.0.0.1:8081", "ftp://store", "http://", "http://store:port"} {
		if _, err := New(address, 1, 1, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
			t.Errorf("%q is accepted", address)
		}
	}
}
