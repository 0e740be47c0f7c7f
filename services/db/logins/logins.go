// Package logins slows down the guessing of passwords. It counts the failed logins of an account
// from all addresses, and remembers from which addresses its owner has logged in: guessing by others
// does not lock the owner out.
package logins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/ratelimit"
)

const (
	// knownFor is how long an address stays known after its last login.
	knownFor = 30 * 24 * time.Hour
	// maxEntries bounds the memory of a process to a few MiB.
	maxEntries = 16384
)

// Settings configure a Guard.
type Settings struct {
	Failures int           `env:"LOGIN_FAILURES_PER_ACCOUNT" envDefault:"100" help:"wrong passwords for one account, from addresses that have not logged in to it before, after which such addresses wait; 0: no limit"`
	Window   time.Duration `env:"LOGIN_FAILURE_WINDOW" envDefault:"1h" min:"1s" help:"time in which wrong passwords are counted"`
}

// Shared is memory that all processes share, such as a Valkey. Its methods report false if it does
// not answer.
type Shared interface {
	// Count returns the value of a counter.
	Count(ctx context.Context, key string) (n int64, ok bool)
	// Add adds one to a counter that ends ttl after it was first added to.
	Add(ctx context.Context, key string, ttl time.Duration) (ok bool)
	// Set sets a mark for ttl, and Has reports whether it is set.
	Set(ctx context.Context, key string, ttl time.Duration) (ok bool)
	Has(ctx context.Context, key string) (has, ok bool)
}

// Guard decides who may try a password. It is safe for concurrent use.
type Guard struct {
	settings Settings
	shared   Shared // nil if each process counts on its own
	own      *lru.Cache[string, counter]
}

// counter counts until a time.
type counter struct {
	n   int64
	end time.Time
}

// New returns a Guard. Without shared memory, each process counts on its own.
func New(s Settings, shared Shared) (*Guard, error) {
	own, err := lru.New[string, counter](maxEntries)
	if err != nil {
		return nil, fmt.Errorf("create memory of logins: %w", err)
	}
	return &Guard{settings: s, shared: shared, own: own}, nil
}

// Check calls verify, which checks a password for an account, unless too many were wrong. It counts
// the result. wrong reports whether an error means a wrong password.
func (g *Guard) Check(ctx context.Context, account, address string, wrong func(error) bool, verify func() error) error {
	if g.settings.Failures <= 0 {
		return verify()
	}
	failed := key("failures", account)
	pair := key("known", account, ratelimit.AddressKey(address))
	known := g.isKnown(ctx, pair)
	if !known && g.count(ctx, failed) >= int64(g.settings.Failures) {
		return failure.New(failure.Exhausted, failure.ReasonTooMany,
			"too many wrong passwords for this account; log in from where you have logged in before, or try again later").
			WithRetryAfter(g.settings.Window)
	}
	err := verify()
	switch {
	case err == nil:
		g.own.Add(pair, counter{1, time.Now().Add(knownFor)})
		if g.shared != nil {
			g.shared.Set(ctx, pair, knownFor)
		}
	case wrong(err) && !known:
		g.add(ctx, failed)
	}
	return err
}

func (g *Guard) isKnown(ctx context.Context, pair string) bool {
	if g.ownCount(pair).n > 0 {
		return true
	}
	if g.shared == nil {
		return false
	}
	known, _ := g.shared.Has(ctx, pair)
	return known
}

func (g *Guard) count(ctx context.Context, failed string) int64 {
	if g.shared != nil {
		if n, ok := g.shared.Count(ctx, failed); ok {
			return n
		}
	}
	return g.ownCount(failed).n
}

func (g *Guard) add(ctx context.Context, failed string) {
	c := g.ownCount(failed) // two at once may count as one: an account has few places in the queue for passwords
	if c.n == 0 {
		c.end = time.Now().Add(g.settings.Window)
	}
	c.n++
	g.own.Add(failed, c)
	if g.shared != nil {
		g.shared.Add(ctx, failed, g.settings.Window)
	}
}

// ownCount returns what this process has counted, unless its time is over.
func (g *Guard) ownCount(key string) counter {
	if c, ok := g.own.Get(key); ok && time.Now().Before(c.end) {
		return c
	}
	return counter{}
}

// key returns a key that reveals neither accounts nor addresses.
func key(kind, account string, more ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{strings.ToLower(strings.TrimSpace(account))}, more...), "\x00")))
	return "logins:" + kind + ":" + hex.EncodeToString(sum[:16])
}
