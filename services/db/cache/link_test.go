package cache

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
)

// unconnected makes a link to an address where nobody is.
func unconnected(t *testing.T) *link {
	t.Helper()
	option := rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}}
	return newLink(option, Settings{TTL: time.Second}, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
}

func (l *link) owes() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.owed)
}

// TestAWriterDoesNotWaitForEver: it never turns out whether there is a connection again.
func TestAWriterDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, from := unconnected(t), time.Now()
		l.forget(t.Context(), []string{"a", "b"})
		if took := time.Since(from); took != forgetTimeout {
			t.Errorf("it has taken %s", took)
		}
		if len(l.owed) != 2 {
			t.Errorf("%d are owed", len(l.owed))
		}
	})
}

// TestWhatIsOwedDoesNotBecomeEverMore while the server is away.
func TestWhatIsOwedDoesNotBecomeEverMore(t *testing.T) {
	t.Parallel()
	l := unconnected(t)
	l.open()
	defer l.close()
	l.forget(t.Context(), []string{"a"})
	if l.owes() != 1 {
		t.Fatalf("%d are owed", l.owes())
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(30 * time.Second)
	for l.owes() > 0 {
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatal("it is owed for ever")
		}
	}
}
