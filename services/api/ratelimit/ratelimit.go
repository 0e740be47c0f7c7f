// Package ratelimit bounds how often somebody may try something, for as many somebodies as fit into bounded memory.
package ratelimit

import (
	"fmt"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

const (
	// keep is how many keys are remembered, a few MiB; the one unseen for longest is forgotten, and may start afresh.
	keep = 16384
	// site is how much of an IPv6 address a provider hands to one customer, who can use all of it.
	site = 64
)

// Limit gives each key a bucket of tokens. It is safe for concurrent use. The nil Limit allows everything.
type Limit struct {
	perSecond rate.Limit
	burst     int
	buckets   *lru.Cache[string, *rate.Limiter]
}

// New allows each key burst attempts at once, and perSecond of them in the long run; 0 for either means no limit.
func New(perSecond float64, burst int) (*Limit, error) {
	if perSecond <= 0 || burst <= 0 {
		return nil, nil //nolint:nilnil // the nil Limit allows everything
	}
	buckets, err := lru.New[string, *rate.Limiter](keep)
	if err != nil {
		return nil, fmt.Errorf("make room for rate limits: %w", err)
	}
	return &Limit{perSecond: rate.Limit(perSecond), burst: burst, buckets: buckets}, nil
}

// Take counts an attempt. If it is one too many, it says how long to wait, and does not count it.
func (l *Limit) Take(key string, now time.Time) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	bucket, known := l.buckets.Get(key)
	if !known {
		fresh := rate.NewLimiter(l.perSecond, l.burst)
		if first, found, _ := l.buckets.PeekOrAdd(key, fresh); found {
			bucket = first
		} else {
			bucket = fresh
		}
	}
	r := bucket.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// AddressKey is what a client's address counts as: itself, or the whole site for IPv6.
func AddressKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(site); err == nil {
			return p.String()
		}
	}
	return a.String()
}
