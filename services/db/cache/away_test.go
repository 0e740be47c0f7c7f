package cache_test

import (
	"testing"
	"time"

	"github.com/redis/rueidis"

	"merchstore.io/merchstore/services/db/cache"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/valkey"
)

func TestTheServerComesLater(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	one := newProcess(t, server.URL(), source)
	one.want(7, 1)
	version := source.sell(7)
	one.Changed(t.Context(), nil, []int32{7})
	one.want(7, version)
	if n := one.results()["bypass"]; n != 2 {
		t.Errorf("%v", one.results())
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.awaitUse()
	eventually.True(t, limit, "the cache to be used for what has changed, too", func() bool { one.want(7, version); return one.results()["local_hit"] > 0 })
}

// TestTheServerIsKilled: reads go on, what was kept over the lost connection is not used any more, and the cache comes back by itself.
func TestTheServerIsKilled(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	for range 3 {
		one.want(7, 1)
		two.want(7, 1)
	}
	server.Kill()
	eventually.True(t, limit, "it to be noticed", func() bool {
		return one.sum("merchstore_cache_available", nil)+two.sum("merchstore_cache_available", nil) == 0
	})
	version := source.sell(7)
	one.Changed(t.Context(), nil, []int32{7})
	one.want(7, version)
	two.want(7, version)
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*process{one, two} {
		p.awaitUse()
		before := p.results()["local_hit"]
		eventually.True(t, limit, "hits", func() bool { p.want(7, version); return p.results()["local_hit"] > before })
	}
}

// TestTheServerIsKilledUnnoticed: nobody has read or written in between, and still nobody uses a copy of before.
func TestTheServerIsKilledUnnoticed(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one := start(t, server.URL(), source)
	for range 3 {
		one.want(7, 1)
	}
	version := source.sell(7) // by somebody who can't tell
	server.Kill()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, limit, "the new version to be read", func() bool { return one.version(7) == version })
	one.awaitUse()
	one.want(7, version)
}

// TestTheServerHangs: one read and one write lose a moment, the others nothing, and what was written in the meantime is seen.
func TestTheServerHangs(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	for range 3 {
		one.want(7, 1)
		two.want(7, 1)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	version := source.sell(7)
	one.Changed(t.Context(), nil, []int32{7})
	if took := time.Since(from); took > 2*time.Second {
		t.Errorf("a write has taken %s", took)
	}
	from = time.Now()
	one.want(7, version)
	one.want(8, 0)
	two.want(8, 0)
	if took := time.Since(from); took > 2*time.Second {
		t.Errorf("the first reads have taken %s", took)
	}
	from = time.Now()
	for range 1000 {
		one.want(7, version)
		one.want(8, 0)
		two.want(8, 0)
		one.Changed(t.Context(), nil, []int32{9})
	}
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("1,000 times four more have taken %s", took)
	}
	two.want(7, version) // has noticed that the server hangs, and does not use its copy
	if n := two.sum("merchstore_cache_errors_total", nil); n == 0 {
		t.Error("no error is counted")
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*process{one, two} {
		p.awaitUse()
		before := p.results()["local_hit"]
		eventually.True(t, limit, "hits", func() bool { p.version(7); return p.results()["local_hit"] > before })
		eventually.True(t, limit, "the new version to be read", func() bool { return p.version(7) == version })
		p.want(7, version)
	}
}

// TestTheServerHangsForAMoment: a writer rather waits than lets others use copies that are out of date.
func TestTheServerHangsForAMoment(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	for range 3 {
		two.want(7, 1)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	resumed := make(chan error)
	time.AfterFunc(400*time.Millisecond, func() { resumed <- server.Resume() })
	version := source.sell(7)
	one.Changed(t.Context(), nil, []int32{7})
	two.want(7, version)
	if err := <-resumed; err != nil {
		t.Fatal(err)
	}
	if n := one.sum("merchstore_cache_errors_total", map[string]string{"operation": "invalidate"}); n == 0 {
		t.Error("no attempt has failed")
	}
}

// TestAHangIsNoticedWithoutReads: a process that finds all it needs among its copies does not use them for ever.
func TestAHangIsNoticedWithoutReads(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one := start(t, server.URL(), source)
	for range 3 {
		one.want(7, 1)
	}
	version := source.sell(7) // by somebody who can't tell
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	eventually.True(t, limit, "the new version to be read", func() bool { return one.version(7) == version })
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("it has used its copy for %s", took)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsOwedIsPaid: what could not be invalidated is taken out as soon as the server is there, for others as well.
func TestWhatIsOwedIsPaid(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one := start(t, server.URL(), source)
	client := look(t, server)
	one.want(7, 1)
	if err := client.Do(t.Context(), client.B().Set().Key("merchstore:product:8").Value("old").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	version := source.sell(7)
	one.Changed(t.Context(), nil, []int32{7})
	one.Changed(t.Context(), nil, []int32{8}) // is known to be away
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, limit, "what is owed to be taken out", func() bool {
		return rueidis.IsRedisNil(client.Do(t.Context(), client.B().Get().Key("merchstore:product:8").Build()).Error())
	})
	one.awaitUse()
	one.want(7, version)
}

// TestTheServerRefusesToDelete: what a process can't take out it does not use, although the server is there.
func TestTheServerRefusesToDelete(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one := start(t, server.URL(), source)
	client := look(t, server)
	for _, may := range []string{"-del", "+del"} {
		for range 3 {
			one.version(7)
		}
		if err := client.Do(t.Context(), client.B().AclSetuser().Username("default").Rule(may).Build()).Error(); err != nil {
			t.Fatal(err)
		}
		version := source.sell(7)
		one.Changed(t.Context(), nil, []int32{7})
		one.want(7, version)
	}
	one.awaitUse()
	one.want(7, source.products[7].Version)
}

func TestCopiesEndWithTheirTime(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one := start(t, server.URL(), source, func(s *cache.Settings) { s.TTL = time.Second })
	for range 3 {
		one.want(7, 1)
	}
	version := source.sell(7) // by somebody who can't tell
	from := time.Now()
	eventually.True(t, limit, "the new version to be read", func() bool { return one.version(7) == version })
	if took := time.Since(from); took > 8*time.Second { // on a busy machine; CACHE_TTL would be ten otherwise
		t.Errorf("it has used its copy for %s", took)
	}
}
