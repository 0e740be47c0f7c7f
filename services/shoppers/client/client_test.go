package client

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newStore(t *testing.T, url string, perSecond float64) *Store {
	t.Helper()
	s, err := New(url, perSecond, 4, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestAnswersAreTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		header http.Header
		body   string
		want   Outcome
	}{
		"what was asked for":                   {status: 200, want: Done},
		"something new":                        {status: 201, want: Done},
		"the same as before":                   {status: 201, header: http.Header{"Idempotent-Replayed": {"true"}}, want: Replayed},
		"a copy will do":                       {status: 304, want: NotModified},
		"nothing is left":                      {status: 409, body: `{"code":"out_of_stock"}`, want: SoldOut},
		"nothing was left, as before":          {status: 409, header: http.Header{"Idempotent-Replayed": {"true"}}, body: `{"code":"out_of_stock"}`, want: SoldOut},
		"the first answer is still being made": {status: 409, body: `{"code":"idempotency_key_in_flight"}`, want: InFlight},
		"another conflict":                     {status: 409, body: `{"code":"already_cancelled"}`, want: Refused},
		"a conflict in no words":               {status: 409, body: `<html>`, want: Refused},
		"somebody else was faster":             {status: 412, want: Stale},
		"nonsense":                             {status: 422, want: Refused},
		"a redirection":                        {status: 302, want: Refused},
		"too often":                            {status: 429, want: Limited},
		"later":                                {status: 503, want: Unavailable},
		"a mistake of the store":               {status: 500, want: Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(test.status, test.header, []byte(test.body)); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestWaitsAreBoundedAndSpread(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ least, most, wantLeast, wantMost time.Duration }{
		"after the first failure":   {backoff(0, 0), backoff(0, 1), firstWait / 2, firstWait},
		"after the third":           {backoff(2, 0), backoff(2, 1), 2 * firstWait, 4 * firstWait},
		"after very many":           {backoff(1000, 0), backoff(1000, 1), longestWait / 2, longestWait},
		"as the store asks":         {retryAfter("4", 0), retryAfter("4", 1), 4 * time.Second, 6 * time.Second},
		"at once":                   {retryAfter("0", 0), retryAfter("0", 1), 0, 0},
		"not as long as that":       {retryAfter("86400", 0), retryAfter("86400", 1), longestWait, longestWait * 3 / 2},
		"it asks for no time":       {retryAfter("", 0), retryAfter("", 1), time.Second, time.Second * 3 / 2},
		"it asks for what can't be": {retryAfter("-5", 0), retryAfter("-5", 1), time.Second, time.Second * 3 / 2},
	} {
		if test.least != test.wantLeast || test.most != test.wantMost {
			t.Errorf("%s: %s to %s, want %s to %s", name, test.least, test.most, test.wantLeast, test.wantMost)
		}
	}
}

// The store is a function here, as the clock of the test stands still while anything else is waited for.
func TestThePaceIsThatOfAllTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		s := newStore(t, "http://store", 5)
		s.http.Transport = answer(func(*http.Request) (int, string) { asked.Add(1); return http.StatusOK, "" })
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		for range 20 {
			go func() {
				session := Session{Store: s}
				for {
					if _, err := session.Send(ctx, Request{Method: http.MethodGet, Path: "/"}); err != nil {
						return
					}
				}
			}()
		}
		<-ctx.Done()
		synctest.Wait()
		if n := asked.Load(); n < 49 || n > 51 {
			t.Errorf("%d requests in ten seconds at five a second", n)
		}
	})
}

func TestWhoIsToldToWaitWaits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status      int
		retryAfter  string
		least, most time.Duration // for three more requests
	}{
		"as the store says":            {http.StatusServiceUnavailable, "2", 6 * time.Second, 9 * time.Second},
		"when it is too much":          {http.StatusTooManyRequests, "1", 3 * time.Second, 4500 * time.Millisecond},
		"longer and longer":            {http.StatusInternalServerError, "", 1750 * time.Millisecond, 3500 * time.Millisecond},
		"not at all when all is well":  {http.StatusOK, "", 0, time.Second},
		"nor when something was wrong": {http.StatusUnprocessableEntity, "", 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t, "http://store", 1000)
				s.http.Transport = answer(func(*http.Request) (int, string) { return test.status, test.retryAfter })
				session := Session{Store: s}
				start := time.Now()
				for range 4 {
					if _, err := session.Send(t.Context(), Request{Method: http.MethodGet, Path: "/"}); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(start); took < test.least || took > test.most {
					t.Errorf("%s, want %s to %s", took, test.least, test.most)
				}
			})
		})
	}
}

type answer func(*http.Request) (status int, retryAfter string)

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	status, later := a(r)
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {later}}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

func TestNothingIsSentAnywhereElse(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	store := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer store.Close()

	session := Session{Store: newStore(t, store.URL, 1000)}
	for path, want := range map[string]Outcome{
		"/":                              Refused,
		"@" + other.URL[len("http://"):]: NoAnswer,
	} {
		a, err := session.Send(t.Context(), Request{Method: http.MethodGet, Path: path})
		if err != nil || a.Outcome != want {
			t.Errorf("%s: %s, %v", path, a.Outcome, err)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

func TestAnswersUnderWayAreWaitedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	store := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	defer store.Close()
	session := Session{Store: newStore(t, store.URL, 1000)}
	if a, err := session.Send(ctx, Request{Method: http.MethodGet, Path: "/"}); err != nil || a.Outcome != Done {
		t.Errorf("%s, %v", a.Outcome, err)
	}
	if _, err := session.Send(ctx, Request{Method: http.MethodGet, Path: "/"}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "127.0.0.1:8081", "ftp://store", "http://", "http://store:port"} {
		if _, err := New(address, 1, 1, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
			t.Errorf("%q is taken for an address", address)
		}
	}
}
