package kafkatopic

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/operator/api/v1alpha1"
	"merchstore.io/merchstore/operator/report"
)

// nobody listens there.
var nowhere = connection{servers: "127.0.0.1:1"}

func newTestPool(t *testing.T, idle time.Duration) *pool {
	t.Helper()
	p := newPool(time.Minute, idle, report.NewMetrics(prometheus.NewRegistry()))
	t.Cleanup(p.close)
	return p
}

func take(t *testing.T, p *pool, c connection) *session {
	t.Helper()
	s, err := p.take(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWordsOfAKafkaThatIsAway(t *testing.T) {
	t.Parallel()
	p := newTestPool(t, time.Minute)
	s := take(t, p, nowhere)
	defer p.giveBack(s, true)
	for range 2 { // librdkafka tells it once
		start := time.Now()
		_, err := s.clusterID(t.Context())
		var told *problem
		if !errors.As(err, &told) || told.reason != v1alpha1.ReasonUnreachable {
			t.Fatalf("%v is no problem", err)
		}
		if want := "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused"; told.message != want {
			t.Errorf("%q, want %q", told.message, want)
		}
		if took := time.Since(start); took > 20*time.Second { // of the minute that is allowed
			t.Errorf("it took %v", took)
		}
	}
}

func TestAnEndedReconcileIsNoProblemOfKafkas(t *testing.T) {
	t.Parallel()
	p := newTestPool(t, time.Minute)
	s := take(t, p, nowhere)
	defer p.giveBack(s, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.clusterID(ctx)
	if !errors.Is(err, context.Canceled) || is(err, v1alpha1.ReasonUnreachable) {
		t.Errorf("%v", err)
	}
}

func TestSessionsAreShared(t *testing.T) {
	t.Parallel()
	p := newTestPool(t, time.Minute)
	a, same := take(t, p, nowhere), take(t, p, nowhere)
	other := nowhere
	other.password = "rotated"
	b := take(t, p, other)
	if a != same {
		t.Error("one connection has two sessions")
	}
	if a == b {
		t.Error("another password has the same session")
	}
	p.giveBack(a, true)
	fresh := take(t, p, nowhere)
	if fresh == same {
		t.Error("a session of no use is given to somebody else")
	}
	if same.admin.IsClosed() {
		t.Error("a session that somebody else still uses is closed")
	}
	p.giveBack(same, false)
	same.listening.Wait() // until its client is closed
	p.giveBack(fresh, false)
	if again := take(t, p, nowhere); again != fresh {
		t.Error("a session that works is not kept")
	}
	p.close()
	if fresh.admin.IsClosed() {
		t.Error("a session in use is closed")
	}
	p.giveBack(fresh, false)
	p.giveBack(b, false)
	fresh.listening.Wait()
	b.listening.Wait()
	if _, err := p.take(nowhere); err == nil {
		t.Error("a closed pool gives sessions")
	}
}

func TestIdleSessionsAreClosed(t *testing.T) {
	t.Parallel()
	p := newTestPool(t, time.Millisecond)
	s := take(t, p, nowhere)
	p.giveBack(s, false)
	s.listening.Wait() // until its client is closed
	if again := take(t, p, nowhere); again == s {
		t.Error("a closed session is given out")
	} else {
		p.giveBack(again, false)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	const refused = "127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused"
	for _, tail := range []string{"", " (after 0ms in state CONNECT)", " (after 12ms in state AUTH_REQ, 1 identical error(s) suppressed)"} {
		if got := lasting(refused + tail); got != refused {
			t.Errorf("%q", got)
		}
	}
	for name, tt := range map[string]struct {
		now  string
		same bool
	}{
		"the same":                          {refused, true},
		"by another address":                {strings.ReplaceAll(refused, "ipv4#127.0.0.1:9", "ipv6#[::1]:9"), true},
		"another broker":                    {strings.Replace(refused, "127.0.0.1:9/bootstrap", "kafka-2.shop:9/2", 1), true},
		"something else of the same broker": {"127.0.0.1:9/bootstrap: SASL authentication error: no", false},
	} {
		if got := steady(refused, tt.now) == refused; got != tt.same {
			t.Errorf("%s: taken for the same: %t", name, got)
		}
	}
	if got := mask("user u with password p ss", "p ss", ""); got != "user u with password ***" {
		t.Errorf("%q", got)
	}
}
