package cache_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/cache"
	"merchstore.io/merchstore/services/db/shop"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/valkey"
)

func TestEachLevelIsAskedInTurn(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	for range 5 {
		one.want(7, 1)
	}
	for range 5 {
		two.want(7, 1)
	}
	if diff := cmp.Diff(map[string]int{"miss": 1, "hit": 1, "local_hit": 3}, one.results()); diff != "" {
		t.Errorf("the first process: want -, got +\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"hit": 1, "local_hit": 4}, two.results()); diff != "" {
		t.Errorf("the second process: want -, got +\n%s", diff)
	}
	if n := source.readsSoFar(); n != 1 {
		t.Errorf("the database was asked %d times", n)
	}
	got, err := two.ProductByID(t.Context(), 7)
	if diff := cmp.Diff(source.products[7], *got); err != nil || diff != "" {
		t.Errorf("%v; want -, got +\n%s", err, diff)
	}
}

func TestWhatIsGivenIsOnesOwn(t *testing.T) {
	t.Parallel()
	one := start(t, valkey.Start(t).URL(), newShelf())
	for range 4 {
		p, err := one.ProductByID(t.Context(), 7)
		if err != nil || p.Name != "Mug" {
			t.Fatalf("%v, %v", p, err)
		}
		p.Name = "scratched"
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one := start(t, server.URL(), source)
	for range 4 {
		wait := one.StartUser(t.Context(), 1)
		for range 2 {
			if u, err := wait(); err != nil || *u != source.users[1] {
				t.Errorf("it is %v, %v", u, err)
			}
		}
	}
	if n := source.readsSoFar(); n != 1 {
		t.Errorf("the database was asked %d times", n)
	}
	source.mu.Lock()
	source.users[1] = shop.User{ID: 1, SID: "12113053", Username: "peter"}
	source.mu.Unlock()
	one.Changed(t.Context(), []int32{1}, nil)
	if u, err := one.StartUser(t.Context(), 1)(); err != nil || u.Active {
		t.Errorf("a deactivated account is %v, %v", u, err)
	}

	source.holdBack()
	ctx, cancel := context.WithCancel(t.Context())
	wait := one.StartUser(ctx, 2)
	<-source.has
	cancel()
	if _, err := wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody who went away is told %v", err)
	}
	source.letGo()
}

func TestThatThereIsNoneIsKeptToo(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	for range 3 {
		one.want(8, 0)
		two.want(8, 0)
	}
	if n := source.readsSoFar(); n != 1 {
		t.Errorf("the database was asked %d times", n)
	}
	source.sell(8)
	one.Changed(t.Context(), nil, []int32{8})
	one.want(8, 1)
}

func TestOneReadsForAll(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	processes := []*process{start(t, server.URL(), source), start(t, server.URL(), source)}
	source.holdBack()
	var begun, done sync.WaitGroup
	begun.Add(100)
	for i := range 100 {
		done.Go(func() {
			begun.Done()
			processes[i%2].want(7, 1)
		})
	}
	begun.Wait()
	<-source.has
	source.letGo()
	done.Wait()
	if n := source.readsSoFar(); n != 1 {
		t.Errorf("the database was asked %d times, %v %v", n, processes[0].results(), processes[1].results())
	}
}

func TestAFailureIsNotKept(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one := start(t, server.URL(), source)
	source.broken = errors.New("no database")
	if _, err := one.ProductByID(t.Context(), 7); !errors.Is(err, source.broken) {
		t.Errorf("it says %v", err)
	}
	source.broken = nil
	from := time.Now()
	one.want(7, 1)
	if took := time.Since(from); took > 900*time.Millisecond {
		t.Errorf("the next reader has waited %s for the one who had failed", took)
	}
	if diff := cmp.Diff(map[string]int{"miss": 2}, one.results()); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestWhatOthersHaveLeftThere(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text   string
		counts string
		limit  time.Duration
	}{
		"the mark of a loader that has died":                {"?dead", "bypass", 5 * time.Second},
		"a value of a version that knows other fields":      {`00000000{"ID":7,"Version":9}`, "bypass", 900 * time.Millisecond},
		"something that is no value, and not of this store": {"hello", "bypass", 900 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, source := valkey.Start(t), newShelf()
			client := look(t, server)
			const key = "merchstore:product:7"
			if err := client.Do(t.Context(), client.B().Set().Key(key).Value(tt.text).Build()).Error(); err != nil {
				t.Fatal(err)
			}
			one := start(t, server.URL(), source)
			from := time.Now()
			one.want(7, 1)
			if took := time.Since(from); took > tt.limit {
				t.Errorf("it has waited %s", took)
			}
			if diff := cmp.Diff(map[string]int{tt.counts: 1}, one.results()); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
			one.Changed(t.Context(), nil, []int32{7})
			one.want(7, 1)
			if text, err := client.Do(t.Context(), client.B().Get().Key(key).Build()).ToString(); err != nil || text == tt.text {
				t.Errorf("after a change there is %q, %v", text, err)
			}
		})
	}
}

// TestNothingSecretIsKept lists what leaves the process: a new field of an account has to be thought about.
func TestNothingSecretIsKept(t *testing.T) {
	t.Parallel()
	server := valkey.Start(t)
	one := start(t, server.URL(), newShelf())
	if _, err := one.StartUser(t.Context(), 1)(); err != nil {
		t.Fatal(err)
	}
	client := look(t, server)
	text, err := client.Do(t.Context(), client.B().Get().Key("merchstore:user:1").Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"ID":1,"SID":"12113053","Username":"peter","Email":"p@example.com","Admin":false,"Active":true,"CreatedAt":"0001-01-01T00:00:00Z"}`
	if text[8:] != want {
		t.Errorf("kept is %s", text)
	}
}

func TestMemoryIsLimited(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	const many = 3000
	eventually.True(t, limit, "a look without losing the connection", func() bool {
		one := start(t, server.URL(), source, func(s *cache.Settings) { s.LocalBytes = 1 << 20 })
		for range 3 { // loaded, then found in level two, then in level one as far as it goes
			for id := range int32(many) {
				one.version(id)
			}
		}
		one.version(many - 1)
		if one.sum("merchstore_cache_errors_total", nil) > 0 {
			return false
		}
		if n := one.results()["local_hit"]; n < 1 || n > many/2 {
			t.Errorf("%d of %d are found again: %v", n, many, one.results())
		}
		return true
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, environment := range map[string][]string{
		"too short":    {"CACHE_TTL=1ms"},
		"too little":   {"CACHE_LOCAL_BYTES=1"},
		"not a number": {"CACHE_LOCAL_BYTES=32MiB"},
	} {
		if _, err := settings.Parse[cache.Settings](environment); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	const password = "hunter%2" // a percent sign that stands for nothing
	s := cache.Settings{URL: settings.Secret(fmt.Sprintf("redis://:%s@127.0.0.1:6379/0", password)), TTL: time.Second, LocalBytes: 1 << 20}
	_, err := cache.New(s, newShelf(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("it says %v", err)
	}
}
