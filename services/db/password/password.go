// Package password hashes passwords with argon2id. Each hash takes 19 MiB, so only a few run at a
// time. The others wait, and beyond a limit they are rejected.
package password

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/alexedwards/argon2id"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"merchstore.io/merchstore/internal/failure"
)

// params are the minimum for argon2id in OWASP's Password Storage Cheat Sheet: 19 MiB, two
// iterations, one thread.
var params = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Hasher hashes and verifies passwords. It is safe for concurrent use.
type Hasher struct {
	slots      *semaphore.Weighted
	waiting    atomic.Int64
	maxWaiting int64
	decoy      string
}

// New returns a Hasher that works on at most concurrency passwords at once and lets at most
// maxWaiting calls wait.
func New(concurrency, maxWaiting int64) (*Hasher, error) {
	decoy, err := argon2id.CreateHash("decoy", &params)
	if err != nil {
		return nil, fmt.Errorf("create decoy hash: %w", err)
	}
	return &Hasher{slots: semaphore.NewWeighted(concurrency), maxWaiting: maxWaiting, decoy: decoy}, nil
}

// RegisterMetrics registers a metric of the waiting calls.
func (h *Hasher) RegisterMetrics(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "merchstore_passwords_waiting", Help: "Calls that wait to hash a password.",
	}, func() float64 { return float64(h.waiting.Load()) }))
}

// Hash returns the hash of a password.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	release, err := h.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	hash, err := argon2id.CreateHash(password, &params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// Verify reports whether the password matches the hash. The empty hash, that of an unknown account,
// matches nothing and takes as long, so that the duration does not reveal which accounts exist.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (bool, error) {
	release, err := h.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	known := hash != ""
	if !known {
		hash = h.decoy
	}
	matches, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("compare password: %w", err)
	}
	return matches && known, nil
}

func (h *Hasher) acquire(ctx context.Context) (release func(), err error) {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.maxWaiting {
		return nil, failure.New(failure.Exhausted, failure.ReasonTooMany,
			"too many users are logging in; try again in a moment")
	}
	if err := h.slots.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("wait to hash a password: %w", err)
	}
	return func() { h.slots.Release(1) }, nil
}
