package cache_test

import (
	"sync"
	"testing"
	"time"

	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/valkey"
)

func TestServerStartsLater(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	one := start(t, server.URL(), source, withTTL(time.Second))
	one.want(7, 1)
	version := source.sell(7)
	one.Changed(t.Context(), nil, []int32{7})
	one.want(7, version)
	if n := one.results("product")["bypass"]; n != 2 {
		t.Errorf("%v", one.results("product"))
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.awaitUse()
	eventually.True(t, limit, "copies to be read", func() bool {
		one.want(7, version)
		return one.results("product")["local_hit"] > 0
	})
}

// TestServerIsKilled: reads continue, values read over the lost connection are not used, and the
// cache recovers.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	one, two := start(t, server.URL(), source, withTTL(5*time.Second)), start(t, server.URL(), source)
	for range 3 {
		one.want(7, 1)
		two.want(7, 1)
	}
	server.Kill()
	eventually.True(t, limit, "both to notice", func() bool { return !one.used() && !two.used() })
	version := source.sell(7)
	one.Changed(t.Context(), nil, []int32{7})
	one.want(7, version)
	two.want(7, version)
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*process{one, two} {
		p.awaitUse()
		before := p.results("product")["local_hit"]
		eventually.True(t, limit, "copies to be read", func() bool {
			p.want(7, version)
			return p.results("product")["local_hit"] > before
		})
	}
}

// TestHangingServer delays requests in flight by less than 100 ms, and no later ones.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	const most = 100 * time.Millisecond
	server, source := valkey.Start(t), newDatabase()
	one := start(t, server.URL(), source, withTTL(2*time.Second))
	for range 3 {
		one.want(7, 1)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	var requests sync.WaitGroup
	request := func(what string, do func()) {
		requests.Go(func() {
			from := time.Now()
			do()
			if took := time.Since(from); took > most {
				t.Errorf("%s took %s", what, took)
			}
		})
	}
	for id := range int32(20) {
		request("a read of a product", func() { one.want(100+id, 0) })
		request("a read of an account", func() { one.active(1) })
		request("a change", func() { one.Changed(t.Context(), nil, []int32{200}) })
	}
	requests.Wait()
	if one.used() {
		t.Error("the failure is not detected")
	}

	version := source.sell(7)
	from := time.Now()
	one.Changed(t.Context(), nil, []int32{7})
	for range 1000 {
		one.want(7, version) // the writer sees its change, although it could not delete the old version
		one.Changed(t.Context(), nil, []int32{200})
	}
	if took := time.Since(from); took > time.Second {
		t.Errorf("2,000 later requests took %s", took)
	}
	// Pings delay no requests: this takes several of them.
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); {
		request("a later read", func() { one.want(7, version) })
		requests.Wait()
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	one.awaitUse()
	eventually.True(t, limit, "copies to be read", func() bool {
		one.want(7, version)
		return one.results("product")["local_hit"] > 2
	})
}

// TestHangIsDetectedWithoutCommands: a process with only local hits does not use its values beyond
// their time to live.
func TestHangIsDetectedWithoutCommands(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	one := start(t, server.URL(), source)
	for range 3 {
		one.want(7, 1)
	}
	version := source.sell(7) // by a process that cannot reach the server
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, limit, "the new version to be read", func() bool { return one.version(7) == version })
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
}

// TestServerRejectsDeletions: until the old value has expired, a process does not read what it
// could not delete, although the server responds.
func TestServerRejectsDeletions(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newDatabase()
	one, other := start(t, server.URL(), source, withTTL(3*time.Second)), client(t, server)
	for range 3 {
		one.want(7, 1)
	}
	if err := other.Do(t.Context(), other.B().AclSetuser().Username("default").Rule("-del").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	version := source.sell(7)
	one.Changed(t.Context(), nil, []int32{7})
	eventually.True(t, limit, "copies to be read again", func() bool {
		one.want(7, version)
		return one.results("product")["local_hit"] > 1
	})
	if n := one.sum("merchstore_cache_errors_total", map[string]string{"operation": "invalidate"}); n == 0 {
		t.Error("no error was counted")
	}
}

func TestReadsAfterClose(t *testing.T) {
	t.Parallel()
	one := start(t, valkey.Start(t).URL(), newDatabase())
	one.Close()
	one.want(7, 1)
	one.Changed(t.Context(), nil, []int32{7})
	if n := one.results("product")["bypass"]; n != 1 {
		t.Errorf("%v", one.results("product"))
	}
}
