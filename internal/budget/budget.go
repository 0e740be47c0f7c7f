// Package budget bounds what callers hold of a resource, such as bytes of memory.
package budget

import (
	"errors"
	"sync"
)

// Errors of Acquire.
var (
	// ErrShare means that one caller would hold more than its share.
	ErrShare = errors.New("the share of the caller is used up")
	// ErrFull means that all callers together would hold more than there is.
	ErrFull = errors.New("the budget is used up")
)

// Budget is an amount that callers hold together, and of which each holds at most a share. It is
// safe for concurrent use. Acquire never waits: whoever waits for more while holding some could
// wait for a caller that does the same.
type Budget struct {
	share int64

	mu   sync.Mutex
	free int64
	held map[string]int64 // by key; only keys that hold something
}

// New returns a Budget of total units, of which a caller holds at most share.
func New(total, share int64) *Budget {
	return &Budget{free: total, share: share, held: map[string]int64{}}
}

// Acquire takes n units and counts them for each of the keys of a caller. If it returns ErrShare or
// ErrFull, it has taken nothing.
func (b *Budget) Acquire(n int64, keys ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range keys {
		if b.held[key]+n > b.share {
			return ErrShare
		}
	}
	if n > b.free {
		return ErrFull
	}
	b.free -= n
	for _, key := range keys {
		b.held[key] += n
	}
	return nil
}

// Release returns units that were acquired for the same keys.
func (b *Budget) Release(n int64, keys ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	for _, key := range keys {
		if b.held[key] -= n; b.held[key] <= 0 {
			delete(b.held, key)
		}
	}
}
