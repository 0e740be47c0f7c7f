package shop

import (
	"fmt"
	"testing"
	"time"
)

func TestSessions(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	token := func(n int) Token { return Token{ID: fmt.Sprint("t", n), Expires: now.Add(time.Hour)} }
	t.Run("keeps ended tokens until they expire", func(t *testing.T) {
		t.Parallel()
		s := Sessions{}.end(token(1), now).end(token(2), now.Add(30*time.Minute))
		if s.accept(token(1)) || s.accept(token(2)) || !s.accept(token(3)) {
			t.Errorf("got %+v", s)
		}
		if s = s.end(Token{ID: "t3", Expires: now.Add(3 * time.Hour)}, now.Add(2*time.Hour)); len(s.Ended) != 1 {
			t.Errorf("tokens are kept beyond their expiry: %+v", s)
		}
	})
	t.Run("ends all when too many were ended", func(t *testing.T) {
		t.Parallel()
		var s Sessions
		for n := range maxEnded + 1 {
			s = s.end(token(n), now)
		}
		if s.Epoch != 1 || len(s.Ended) != 0 || s.accept(token(0)) || s.accept(token(999)) {
			t.Errorf("got %+v", s)
		}
	})
	t.Run("ignores a token of an earlier epoch", func(t *testing.T) {
		t.Parallel()
		if s := (Sessions{}).endAll().end(token(1), now); s.Epoch != 1 || len(s.Ended) != 0 {
			t.Errorf("got %+v", s)
		}
	})
}
