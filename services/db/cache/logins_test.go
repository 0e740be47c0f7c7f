package cache_test

import (
	"testing"
	"time"

	"merchstore.io/merchstore/test/valkey"
)

// A counter may have lost its end: by a process that ended before it set one, for example.
func TestCountersEnd(t *testing.T) {
	t.Parallel()
	server := valkey.Start(t)
	p := start(t, server.URL(), newDatabase())
	p.awaitUse()
	c := client(t, server)
	if err := c.Do(t.Context(), c.B().Set().Key("merchstore:endless").Value("5").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int64{"endless": 7, "new": 2} {
		for range 2 {
			if !p.Add(t.Context(), key, time.Hour) {
				t.Fatal("the server does not answer")
			}
		}
		if n, ok := p.Count(t.Context(), key); n != want || !ok {
			t.Errorf("%s is %d, want %d", key, n, want)
		}
		if left, err := c.Do(t.Context(), c.B().Pttl().Key("merchstore:"+key).Build()).AsInt64(); err != nil || left < 1 || left > time.Hour.Milliseconds() {
			t.Errorf("%s ends in %d ms, %v", key, left, err)
		}
	}
}

func TestARefusedCounterLeavesTheCacheInUse(t *testing.T) {
	t.Parallel()
	server := valkey.Start(t)
	p := start(t, server.URL(), newDatabase())
	p.awaitUse()
	c := client(t, server)
	if err := c.Do(t.Context(), c.B().Arbitrary("ACL", "SETUSER", "default", "-pexpire").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if p.Add(t.Context(), "n", time.Hour) {
		t.Error("a counter without an end is reported as added to")
	}
	if !p.used() {
		t.Error("the cache is off")
	}
}
