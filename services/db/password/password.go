// Package password hashes passwords with argon2id, a few at a time: each takes 19 MiB while it runs, so that a storm of
// logins waits, or is turned away, instead of using up the memory.
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

// params are the least that OWASP's Password Storage Cheat Sheet names for argon2id: 19 MiB, two passes, one lane.
var params = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Hasher hashes and compares. It is safe for concurrent use.
type Hasher struct {
	slots      *semaphore.Weighted
	waiting    atomic.Int64
	maxWaiting int64
	decoy      string
}

// New makes a Hasher that works on at most `concurrency` passwords at once and lets at most maxWaiting wait.
func New(concurrency, maxWaiting int64) (*Hasher, error) {
	decoy, err := argon2id.CreateHash("a password that nobody has", &params)
	if err != nil {
		return nil, fmt.Errorf("make decoy hash: %w", err)
	}
	return &Hasher{slots: semaphore.NewWeighted(concurrency), maxWaiting: maxWaiting, decoy: decoy}, nil
}

// RegisterMetrics shows how many people wait.
func (h *Hasher) RegisterMetrics(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "merchstore_passwords_waiting", Help: "Sign-ups and log-ins that wait for their password to be hashed.",
	}, func() float64 { return float64(h.waiting.Load()) }))
}

// Hash gives the hash to store.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	release, err := h.slot(ctx)
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

// Verify tells whether the password fits the hash. An empty hash, that of an account that does not exist, fits nothing,
// and finding that out takes as long.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (bool, error) {
	release, err := h.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	exists := hash != ""
	if !exists {
		hash = h.decoy
	}
	fits, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("compare password: %w", err)
	}
	return fits && exists, nil
}

func (h *Hasher) slot(ctx context.Context) (release func(), err error) {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.maxWaiting {
		return nil, failure.New(failure.Exhausted, failure.ReasonTooMany, "too many people are logging in; try again in a moment")
	}
	if err := h.slots.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("wait to hash a password: %w", err)
	}
	return func() { h.slots.Release(1) }, nil
}
