// Package password hashes passwords with argon2id. Each hash takes 19 MiB, so only a few run at a
// time. The others wait, and beyond a limit they are rejected. Nobody's storm keeps others out:
// sign-ups and logins have half of the queue each, an account has a few places in it, and sign-ups
// never run in all slots.
package password

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/alexedwards/argon2id"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"merchstore.io/merchstore/internal/budget"
	"merchstore.io/merchstore/internal/failure"
)

// params are the minimum for argon2id in OWASP's Password Storage Cheat Sheet: 19 MiB, two
// iterations, one thread.
var params = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Hasher hashes and verifies passwords. It is safe for concurrent use.
type Hasher struct {
	slots   *semaphore.Weighted
	hashing *semaphore.Weighted // slots that Hash may take
	signups *budget.Budget      // waiting and running calls of Hash
	logins  *budget.Budget      // those of Verify, by account
	waiting atomic.Int64
	decoy   string
}

// New returns a Hasher that works on at most concurrency passwords at once and lets at most
// maxWaiting calls wait, and perAccount of them for one account.
func New(concurrency, maxWaiting, perAccount int64) (*Hasher, error) {
	decoy, err := argon2id.CreateHash("decoy", &params)
	if err != nil {
		return nil, fmt.Errorf("create decoy hash: %w", err)
	}
	half := max(1, maxWaiting/2)
	return &Hasher{
		slots: semaphore.NewWeighted(concurrency), hashing: semaphore.NewWeighted(max(1, concurrency-1)),
		signups: budget.New(half, half), logins: budget.New(half, perAccount), decoy: decoy,
	}, nil
}

// RegisterMetrics registers a metric of the waiting calls.
func (h *Hasher) RegisterMetrics(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "merchstore_passwords_waiting", Help: "Calls that wait to hash a password.",
	}, func() float64 { return float64(h.waiting.Load()) }))
}

type accountKey struct{}

// WithAccount returns a context whose calls of Verify count as those of an account.
func WithAccount(ctx context.Context, account string) context.Context {
	return context.WithValue(ctx, accountKey{}, account)
}

// Hash returns the hash of a password.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if h.signups.Acquire(1) != nil {
		return "", errBusy
	}
	defer h.signups.Release(1)
	if err := h.wait(ctx, h.hashing, h.slots); err != nil {
		return "", err
	}
	defer release(h.hashing, h.slots)
	hash, err := argon2id.CreateHash(password, &params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// Verify reports whether the password matches the hash. The empty hash, that of an unknown account,
// matches nothing and takes as long, so that the duration does not reveal which accounts exist.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (bool, error) {
	account, _ := ctx.Value(accountKey{}).(string)
	switch err := h.logins.Acquire(1, account); {
	case errors.Is(err, budget.ErrShare):
		return false, errAccountBusy
	case err != nil:
		return false, errBusy
	}
	defer h.logins.Release(1, account)
	if err := h.wait(ctx, h.slots); err != nil {
		return false, err
	}
	defer release(h.slots)
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

var (
	errBusy = failure.New(failure.Exhausted, failure.ReasonTooMany,
		"too many users are logging in; try again in a moment")
	errAccountBusy = failure.New(failure.Exhausted, failure.ReasonTooMany,
		"too many passwords of this account are being checked; try again in a moment")
)

// wait acquires the slots in order.
func (h *Hasher) wait(ctx context.Context, slots ...*semaphore.Weighted) error {
	h.waiting.Add(1)
	defer h.waiting.Add(-1)
	for i, s := range slots {
		if err := s.Acquire(ctx, 1); err != nil {
			release(slots[:i]...)
			return fmt.Errorf("wait to hash a password: %w", err)
		}
	}
	return nil
}

func release(slots ...*semaphore.Weighted) {
	for _, s := range slots {
		s.Release(1)
	}
}
