// Package ratelimit limits the rate of attempts per key, in bounded memory.
package ratelimit

import (
	"fmt"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

const (
	// maxKeys bounds memory to a few MiB. The least recently used key is evicted, which resets it.
	maxKeys = 16384
	// prefixBits is the IPv6 prefix that a provider assigns to one customer, who can use all of it.
	prefixBits = 64
)

// Limit is a token bucket per key. It is safe for concurrent use. A nil Limit allows everything.
type Limit struct {
	perSecond rate.Limit
	burst     int
	buckets   *lru.Cache[string, *rate.Limiter]
}

// New returns a Limit of perSecond attempts per key, in bursts of burst. It is nil if either is 0.
func New(perSecond float64, burst int) (*Limit, error) {
	if perSecond <= 0 || burst <= 0 {
		return nil, nil
	}
	buckets, err := lru.New[string, *rate.Limiter](maxKeys)
	if err != nil {
		return nil, fmt.Errorf("create rate limit: %w", err)
	}
	return &Limit{perSecond: rate.Limit(perSecond), burst: burst, buckets: buckets}, nil
}

// NewPer returns a Limit of n attempts per key and period, all of which may come at once. It is nil
// if n is 0.
func NewPer(n int, period time.Duration) (*Limit, error) {
	return New(float64(n)/period.Seconds(), n)
}

// Take counts an attempt and reports whether it is allowed. If not, it is not counted, and wait is
// the time until the next one is.
func (l *Limit) Take(key string, now time.Time) (wait time.Duration, ok bool) {
	return l.TakeN(key, 1, now)
}

// TakeN counts n attempts, as Take does. More than a burst count as a burst.
func (l *Limit) TakeN(key string, n int, now time.Time) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	created := rate.NewLimiter(l.perSecond, l.burst)
	bucket, found, _ := l.buckets.PeekOrAdd(key, created)
	if found {
		l.buckets.Get(key) // marks it as recently used
	} else {
		bucket = created
	}
	r := bucket.ReserveN(now, min(n, l.burst))
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// AddressKey returns the key of a client's address: itself, or its prefix for IPv6.
func AddressKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(prefixBits); err == nil {
			return p.String()
		}
	}
	return a.String()
}
