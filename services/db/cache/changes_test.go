package cache_test

import (
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/valkey"
)

// TestChangesAreSeen: by the writer at once, and by another process long before values expire.
func TestChangesAreSeen(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	var slowest time.Duration
	for range 200 {
		for range 3 {
			one.version(7)
			two.version(7)
		}
		version := source.sell(7)
		one.Changed(t.Context(), nil, []int32{7})
		from := time.Now()
		one.want(7, version)
		for two.version(7) != version {
			if time.Since(from) > limit {
				t.Fatal("the other process does not see a change")
			}
		}
		slowest = max(slowest, time.Since(from))
	}
	t.Logf("slowest of 200 changes: %s", slowest)
	if n := one.sum("merchstore_cache_invalidations_total", nil); n != 200 {
		t.Errorf("%d invalidations", n)
	}
	if n := two.results("product")["local_hit"]; n < 200 {
		t.Errorf("%d local hits", n)
	}
}

// TestValueReadBeforeACommitIsNotStoredAfterIt blocks a reader that has read the old version until
// the change is invalidated.
func TestValueReadBeforeACommitIsNotStoredAfterIt(t *testing.T) {
	t.Parallel()
	for name, inBetween := range map[string]func(writer, reader *process, version int64){
		"no read in between":          func(*process, *process, int64) {},
		"the writer reads in between": func(writer, _ *process, version int64) { writer.want(7, version) },
		"the reader reads in between": func(_, reader *process, version int64) { reader.want(7, version) },
		"both read in between, repeatedly": func(writer, reader *process, version int64) {
			writer.want(7, version)
			reader.want(7, version)
			reader.want(7, version)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, source := valkey.Start(t), newDatabase()
			reader, writer := start(t, server.URL(), source), start(t, server.URL(), source)
			unblock := source.block()
			late := make(chan int64)
			go func() { late <- reader.version(7) }()
			source.awaitBlocked()

			version := source.sell(7)
			writer.Changed(t.Context(), nil, []int32{7})
			inBetween(writer, reader, version)
			unblock()
			<-late // began before, so it may return the old version

			for range 3 {
				writer.want(7, version)
				reader.want(7, version)
			}
		})
	}
}

// TestValueDoesNotOutliveItsTTL: the time to live begins before the value is read, however long
// that takes.
func TestValueDoesNotOutliveItsTTL(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	reader := start(t, server.URL(), source, withTTL(2*time.Second))
	unblock := source.block()
	from := time.Now()
	late := make(chan int64)
	go func() { late <- reader.version(7) }()
	source.awaitBlocked()
	version := source.sell(7) // by a writer that crashes before it invalidates
	eventually.True(t, limit, "half of its time to live to pass", func() bool { return time.Since(from) > time.Second })
	unblock()
	<-late
	reader.want(7, 1)
	eventually.True(t, limit, "the new version to be read", func() bool { return reader.version(7) == version })
	// It would be three seconds if the time to live began when the value was stored.
	if took := time.Since(from); took > 2900*time.Millisecond {
		t.Errorf("the old version was read for %s", took)
	}
}

func TestDeactivatedAccount(t *testing.T) {
	t.Parallel()
	for name, announce := range map[string]bool{
		"is seen by other processes":                                         true,
		"is seen by other processes within a second even if its writer dies": false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, source := valkey.Start(t), newDatabase()
			one, two := start(t, server.URL(), source), start(t, server.URL(), source)
			for range 3 {
				if !one.active(1) || !two.active(1) {
					t.Fatal("the account is not active")
				}
			}
			source.deactivate(1)
			from := time.Now()
			if announce {
				one.Changed(t.Context(), []int32{1}, nil)
				if one.active(1) {
					t.Error("the account is active for the writer")
				}
			}
			for two.active(1) {
				if took := time.Since(from); took > 1100*time.Millisecond { // includes the response time on a busy machine
					t.Fatalf("the account is active after %s", took)
				}
			}
			if two.results("user")["local_hit"] == 0 {
				t.Error("there were no local hits")
			}
		})
	}
}

// TestTwoStoresOnOneServer: two stores can share a server with different database numbers.
func TestTwoStoresOnOneServer(t *testing.T) {
	t.Parallel()
	server, mugs, shirts := valkey.Start(t), newDatabase(), newDatabase()
	shirts.sell(7)
	one, two := start(t, server.URL(), mugs), start(t, strings.TrimSuffix(server.URL(), "0")+"1", shirts)
	for range 20 {
		for range 3 {
			one.want(7, mugs.products[7].Version)
			two.want(7, shirts.products[7].Version)
		}
		version := mugs.sell(7)
		one.Changed(t.Context(), nil, []int32{7})
		one.want(7, version)
		two.want(7, shirts.products[7].Version)
	}
	if n := one.sum("merchstore_cache_errors_total", nil) + two.sum("merchstore_cache_errors_total", nil); n != 0 {
		t.Errorf("%d errors", n)
	}
}
