package cache_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/cache"
	"merchstore.io/merchstore/test/valkey"
)

func TestReadsUseTheProcessThenTheServer(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	for range 5 {
		one.want(7, 1)
	}
	for range 5 {
		two.want(7, 1)
	}
	if diff := cmp.Diff(map[string]int{"miss": 1, "hit": 1, "local_hit": 3}, one.results("product")); diff != "" {
		t.Errorf("the first process: want -, got +\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"hit": 1, "local_hit": 4}, two.results("product")); diff != "" {
		t.Errorf("the second process: want -, got +\n%s", diff)
	}
	if n := source.readsSoFar(); n != 1 {
		t.Errorf("%d reads from the database", n)
	}
	got, err := two.ProductByID(t.Context(), 7)
	if diff := cmp.Diff(source.products[7], *got); err != nil || diff != "" {
		t.Errorf("%v; want -, got +\n%s", err, diff)
	}
}

func TestAbsenceOfAProductIsCached(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	for range 3 {
		one.want(8, 0)
		two.want(8, 0)
	}
	if n := source.readsSoFar(); n != 1 {
		t.Errorf("%d reads from the database", n)
	}
	source.sell(8)
	one.Changed(t.Context(), nil, []int32{8})
	one.want(8, 1)
}

func TestReadersDoNotWaitForALoader(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	unblock := source.block()
	loaded := make(chan int64)
	go func() { loaded <- one.version(7) }()
	source.awaitBlocked()
	one.want(7, 1)
	two.want(7, 1)
	unblock()
	if got := <-loaded; got != 1 {
		t.Errorf("the loader read version %d", got)
	}
	if diff := cmp.Diff(map[string]int{"miss": 1, "bypass": 1}, one.results("product")); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestFailuresAreNotCached(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	one := start(t, server.URL(), source)
	source.broken = errors.New("no database")
	if _, err := one.ProductByID(t.Context(), 7); !errors.Is(err, source.broken) {
		t.Errorf("error %v", err)
	}
	source.broken = nil
	one.want(7, 1)
	if diff := cmp.Diff(map[string]int{"miss": 2}, one.results("product")); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestUnreadableValuesAreReadFromTheDatabase(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"the mark of a loader that crashed": "?dead",
		"a value of another type":           `{"ID":"seven"}`,
		"not JSON":                          "hello",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, source := valkey.Start(t), newDatabase()
			other := client(t, server)
			if err := other.Do(t.Context(), other.B().Set().Key("merchstore:2:product:7").Value(text).Build()).Error(); err != nil {
				t.Fatal(err)
			}
			one := start(t, server.URL(), source)
			one.want(7, 1)
			if diff := cmp.Diff(map[string]int{"bypass": 1}, one.results("product")); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

// TestFormat checks the stored values. If it changes, keyPrefix needs a new version. Values must
// not contain secrets.
func TestFormat(t *testing.T) {
	t.Parallel()
	server := valkey.Start(t)
	one := start(t, server.URL(), newDatabase())
	one.want(7, 1)
	one.active(1)
	other := client(t, server)
	for key, want := range map[string]string{
		"merchstore:2:user:1": `{"ID":1,"SID":"12113053","Username":"peter","Email":"p@example.com","Admin":false,"Active":true,` +
			`"CreatedAt":"0001-01-01T00:00:00Z"}`,
		"merchstore:2:product:7": `{"ID":7,"Name":"Mug","Description":"","Category":"","Slogan":"","Price":49.5,"Stock":3,"OwnerID":0,` +
			`"OwnerSID":"","Picture":{"Hash":"AQL/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","Status":"ready","Failure":""},"Version":1,` +
			`"CreatedAt":"1970-01-01T00:00:01.000005Z","UpdatedAt":"0001-01-01T00:00:00Z"}`,
	} {
		got, err := other.Do(t.Context(), other.B().Get().Key(key).Build()).ToString()
		if err != nil || got != want {
			t.Errorf("%s is %s, %v", key, got, err)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	if _, err := settings.Parse[cache.Settings]([]string{"CACHE_TTL=999ms"}); err == nil {
		t.Error("a time to live below the one of accounts is accepted")
	}
	const password = "hunter%2" // an invalid escape
	s := cache.Settings{URL: settings.Secret(fmt.Sprintf("redis://:%s@127.0.0.1:6379/0", password)), TTL: time.Second}
	_, err := cache.New(s, newDatabase(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("error %v", err)
	}
}

// TestLimitedPermissions uses an account with the permissions that docs/production.md lists.
func TestLimitedPermissions(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	admin := client(t, server)
	rules := []string{"on", ">secret", "~merchstore:*", "+@read", "+@write", "+@scripting", "+@transaction", "+@connection"}
	if err := admin.Do(t.Context(), admin.B().AclSetuser().Username("store").Rule(rules...).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	one := start(t, "redis://store:secret@"+server.Addr()+"/0", source)
	for range 3 {
		one.want(7, 1)
	}
	version := source.sell(7)
	one.Changed(t.Context(), nil, []int32{7})
	one.want(7, version)
	if diff := cmp.Diff(map[string]int{"miss": 2, "hit": 1, "local_hit": 1}, one.results("product")); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}
