package ratelimit

import (
	"strconv"
	"testing"
	"time"
)

func TestTake(t *testing.T) {
	t.Parallel()
	l, err := New(0.5, 2)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	steps := []struct {
		name  string
		key   string
		after time.Duration
		ok    bool
		wait  time.Duration
	}{
		{"the burst", "a", 0, true, 0},
		{"the end of the burst", "a", 0, true, 0},
		{"beyond the burst", "a", 0, false, 2 * time.Second},
		{"a rejected attempt is not counted", "a", time.Second, false, time.Second},
		{"another key has its own limit", "b", time.Second, true, 0},
		{"an attempt is allowed again after a while", "a", 2 * time.Second, true, 0},
		{"only one", "a", 2 * time.Second, false, 2 * time.Second},
	}
	for _, s := range steps {
		wait, ok := l.Take(s.key, start.Add(s.after))
		if ok != s.ok || wait.Round(time.Millisecond) != s.wait {
			t.Errorf("%s: got %v, %v, want %v, %v", s.name, wait, ok, s.wait, s.ok)
		}
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	for _, l := range []*Limit{must(New(0, 10)), must(New(5, 0)), nil} {
		for range 1000 {
			if _, ok := l.Take("a", time.Now()); !ok {
				t.Fatal("rejected without a limit")
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l := must(New(1, 1))
	for i := range 2 * maxKeys {
		l.Take(strconv.Itoa(i), time.Now())
	}
	if l.buckets.Len() != maxKeys {
		t.Errorf("holds %d keys, want %d", l.buckets.Len(), maxKeys)
	}
}

func must(l *Limit, err error) *Limit {
	if err != nil {
		panic(err)
	}
	return l
}

func TestAddressKey(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ address, want string }{
		"IPv4":                {"192.0.2.1", "192.0.2.1"},
		"IPv4 in IPv6":        {"::ffff:192.0.2.1", "192.0.2.1"},
		"IPv6 has its prefix": {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		"a zone is ignored":   {"fe80::1%eth0", "fe80::/64"},
		"not an address":      {"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := AddressKey(tt.address); got != tt.want {
				t.Errorf("AddressKey(%q) = %q, want %q", tt.address, got, tt.want)
			}
		})
	}
}
