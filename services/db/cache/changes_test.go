package cache_test

import (
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/valkey"
)

// TestTheWriterSeesItsChangeAtOnce, and another process soon: far sooner than values live.
func TestTheWriterSeesItsChangeAtOnce(t *testing.T) {
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
	t.Logf("the slowest of 200 changes was seen after %s", slowest)
	if n := one.sum("merchstore_cache_invalidations_total", nil); n != 200 {
		t.Errorf("%d invalidations are counted", n)
	}
	if n := two.results("product")["local_hit"]; n < 200 {
		t.Errorf("%d reads have found a copy", n)
	}
}

// TestAValueReadBeforeACommitIsNotStoredAfterIt holds a reader back that has read the old version, until the change is announced.
func TestAValueReadBeforeACommitIsNotStoredAfterIt(t *testing.T) {
	t.Parallel()
	for name, inBetween := range map[string]func(writer, reader *process, version int64){
		"nobody reads in between":     func(*process, *process, int64) {},
		"the writer reads in between": func(writer, _ *process, version int64) { writer.want(7, version) },
		"the reader reads in between": func(_, reader *process, version int64) { reader.want(7, version) },
		"both read in between, and more than once": func(writer, reader *process, version int64) {
			writer.want(7, version)
			reader.want(7, version)
			reader.want(7, version)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, source := valkey.Start(t), newDatabase()
			reader, writer := start(t, server.URL(), source), start(t, server.URL(), source)
			letGo := source.holdBack()
			late := make(chan int64)
			go func() { late <- reader.version(7) }()
			source.awaitHeld()

			version := source.sell(7)
			writer.Changed(t.Context(), nil, []int32{7})
			inBetween(writer, reader, version)
			letGo()
			<-late // began before, and may return what was

			for range 3 {
				writer.want(7, version)
				reader.want(7, version)
			}
		})
	}
}

// TestAValueDoesNotOutliveItsTTL: it is counted from before the value was read, however long that takes.
func TestAValueDoesNotOutliveItsTTL(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	reader := start(t, server.URL(), source, livingFor(2*time.Second))
	letGo := source.holdBack()
	from := time.Now()
	late := make(chan int64)
	go func() { late <- reader.version(7) }()
	source.awaitHeld()
	version := source.sell(7) // by a writer that dies before it can say so
	eventually.True(t, limit, "half of its time to live to pass", func() bool { return time.Since(from) > time.Second })
	letGo()
	<-late
	reader.want(7, 1)
	eventually.True(t, limit, "the new version to be read", func() bool { return reader.version(7) == version })
	// It would be three seconds if they were counted from when it was stored.
	if took := time.Since(from); took > 2900*time.Millisecond {
		t.Errorf("the old version has lived for %s", took)
	}
}

func TestADeactivatedAccount(t *testing.T) {
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
					t.Fatal("it is not active")
				}
			}
			source.deactivate(1)
			from := time.Now()
			if announce {
				one.Changed(t.Context(), []int32{1}, nil)
				if one.active(1) {
					t.Error("it is active for its writer")
				}
			}
			for two.active(1) {
				if took := time.Since(from); took > 1100*time.Millisecond { // the answer's way on a busy machine included
					t.Fatalf("it is active after %s", took)
				}
			}
			if two.results("user")["local_hit"] == 0 {
				t.Error("no copy was read")
			}
		})
	}
}

// TestTwoStoresInOneServer have a database number each.
func TestTwoStoresInOneServer(t *testing.T) {
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
