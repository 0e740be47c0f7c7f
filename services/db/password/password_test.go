package password_test

import (
	"context"
	"errors"
	"testing"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/db/password"
)

// A storm of one account or of sign-ups leaves room for others.
func TestQueueIsShared(t *testing.T) {
	t.Parallel()
	h, err := password.New(2, 20, 3)
	if err != nil {
		t.Fatal(err)
	}
	const calls = 40
	for name, storm := range map[string]func(context.Context) error{
		"one account's logins": func(ctx context.Context) error {
			_, err := h.Verify(password.WithAccount(ctx, "peter"), "password", "")
			return err
		},
		"sign-ups": func(ctx context.Context) error { _, err := h.Hash(ctx, "password"); return err },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, calls)
		for range calls {
			go func() { results <- storm(ctx) }()
		}
		err := <-results
		for f := (*failure.Error)(nil); !errors.As(err, &f); err = <-results { // until one is refused
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.Verify(password.WithAccount(t.Context(), "yoga"), "password", ""); err != nil {
			t.Errorf("%s keep another account out: %v", name, err)
		}
		cancel()
	}
}
