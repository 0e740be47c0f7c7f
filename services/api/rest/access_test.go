package rest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/services/api/ratelimit"
)

func TestGuestPassIsRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	keys, err := token.ParseKeys("k:" + strings.Repeat("x", 32))
	if err != nil {
		t.Fatal(err)
	}
	g := &guestPass{keys: keys}
	start := time.Now()
	first, err := g.token(start)
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := keys.Verify(first); err != nil || claims.Role != token.RoleGuest {
		t.Fatalf("the token names %+v, %v", claims, err)
	}
	untilThen := g.until
	if _, err := g.token(start.Add(guestTTL - guestRenew - time.Second)); err != nil || !g.until.Equal(untilThen) {
		t.Errorf("renewed too early, or %v", err)
	}
	if _, err := g.token(start.Add(guestTTL - guestRenew)); err != nil || g.until.Equal(untilThen) {
		t.Errorf("not renewed, or %v", err)
	}
}

func TestWhole(t *testing.T) {
	t.Parallel()
	pages := map[string][]int{"": {1, 2}, "a": {3}, "b": {}}
	next := map[string]string{"": "a", "a": "b", "b": ""}
	got, err := whole(t.Context(), func(_ context.Context, cursor string) ([]int, string, error) {
		return pages[cursor], next[cursor], nil
	})
	if err != nil || len(got) != 3 {
		t.Errorf("got %v, %v", got, err)
	}

	calls := 0
	_, err = whole(t.Context(), func(context.Context, string) ([]int, string, error) {
		calls++
		return []int{1}, "more", nil
	})
	if err == nil || calls != maxPages {
		t.Errorf("a list without end was read %d times: %v", calls, err)
	}

	away := errors.New("away")
	if _, err := whole(t.Context(), func(context.Context, string) ([]int, string, error) { return nil, "", away }); !errors.Is(err, away) {
		t.Errorf("got %v", err)
	}
}

func TestNamesThatNoAccountCanHaveAreNotRemembered(t *testing.T) {
	t.Parallel()
	limits := mustLimit(t)
	long := strings.Repeat("x", longestUsername+1)
	for range 3 {
		if err := limitAccount(long, limits); err != nil {
			t.Fatal(err)
		}
	}
	if err := limitAccount("Peter", limits); err != nil {
		t.Fatal(err)
	}
	if err := limitAccount("pETER", limits); err == nil {
		t.Error("another case of the name is another account")
	}
}

func mustLimit(t *testing.T) *ratelimit.Limit {
	t.Helper()
	l, err := ratelimit.New(0.01, 1)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
