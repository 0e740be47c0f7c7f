package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// answerTimeout is what reads and writes lose that are under way when the server begins to hang; all that come later lose nothing.
	answerTimeout = 250 * time.Millisecond
	// connectTimeout is for a new connection, and for a sign of life on a quiet one.
	connectTimeout = 500 * time.Millisecond
	// checkEvery is how often a server that is away is looked for, and a quiet one is asked whether it lives.
	checkEvery = time.Second
	// forgetTimeout is what a writer waits at most, all attempts and acknowledgements together.
	forgetTimeout = 1500 * time.Millisecond
	// markTTL is for how long others wait for one who loads, and may be dead.
	markTTL = time.Second
	// owedAtOnce is how many keys are deleted with one command.
	owedAtOnce = 1000
)

var errLost = errors.New("the connection was lost")

// link sees to it that there is a session as long as the server is there, and that what could not be deleted is deleted later.
type link struct {
	option     rueidis.ClientOption
	ttl        time.Duration
	localBytes int
	metrics    *metrics
	log        *slog.Logger

	session atomic.Pointer[session] // nil while the server is away
	owing   chan struct{}           // wakes the one who pays
	stop    context.CancelFunc
	stopped chan struct{}
	closing sync.WaitGroup

	mu         sync.RWMutex
	owed       map[string]time.Time // what could not be deleted yet, and until when somebody may find it
	connecting chan struct{}        // closed when it is known whether there is a session again; nil if that is known
}

func newLink(option rueidis.ClientOption, s Settings, m *metrics, log *slog.Logger) *link {
	option.ClientName = "merchstore-db"
	option.ForceSingleClient = true
	option.DisableRetry = true
	// One connection, always read: news of changes come in their order among the answers, and at once.
	option.PipelineMultiplex = -1
	option.AlwaysPipelining = true
	option.Dialer.Timeout = connectTimeout
	option.Dialer.KeepAlive = checkEvery
	option.ConnWriteTimeout = connectTimeout
	return &link{
		option: option, ttl: s.TTL, localBytes: s.LocalBytes, metrics: m, log: log,
		owing: make(chan struct{}, 1), stopped: make(chan struct{}), owed: map[string]time.Time{}, connecting: make(chan struct{}),
	}
}

func (l *link) open() {
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	go l.run(ctx)
}

func (l *link) close() {
	l.stop()
	<-l.stopped
}

// usable gives the session in which the cache may be asked for a key; nil if it may not.
func (l *link) usable(key string) *session {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if _, owed := l.owed[key]; owed {
		return nil
	}
	return l.session.Load()
}

// forget takes keys out: at once if that can be done, or else as soon as it can. When the connection has just been lost it waits for
// the news whether there is another one: others may still use their copies. It returns within forgetTimeout.
func (l *link) forget(ctx context.Context, keys []string) {
	l.metrics.invalidations.Add(float64(len(keys)))
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	for range 2 {
		s := l.awaitSession(ctx)
		if s == nil {
			break
		}
		err := s.invalidate(ctx, keys)
		if err == nil {
			return
		}
		if ctx.Err() != nil { // perhaps the session had hardly begun: who pays will see whether the server answers
			l.metrics.errors.WithLabelValues(opInvalidate).Inc()
			break
		}
		l.failed(s, opInvalidate, err)
	}
	// A loader that has read before may put that in as long as its mark lasts.
	until := time.Now().Add(markTTL + l.ttl)
	l.mu.Lock()
	for _, key := range keys {
		l.owed[key] = until
	}
	l.mu.Unlock()
	select {
	case l.owing <- struct{}{}:
	default:
	}
}

// awaitSession gives the session, if there is one or about to be.
func (l *link) awaitSession(ctx context.Context) *session {
	l.mu.RLock()
	connecting := l.connecting
	l.mu.RUnlock()
	if connecting != nil {
		select {
		case <-connecting:
		case <-ctx.Done():
		}
	}
	return l.session.Load()
}

// failed counts, and gives a session up in which the server does not answer.
func (l *link) failed(s *session, operation string, err error) {
	l.metrics.errors.WithLabelValues(operation).Inc()
	if _, refused := rueidis.IsRedisErr(err); !refused {
		l.lost(s)
	}
}

// lost is called by whoever notices first.
func (l *link) lost(s *session) {
	l.mu.Lock()
	if l.session.CompareAndSwap(s, nil) && l.connecting == nil {
		l.connecting = make(chan struct{})
	}
	l.mu.Unlock()
	s.end()
}

// settled ends the waiting for a session, whether there is one or not.
func (l *link) settled() {
	l.mu.Lock()
	if l.connecting != nil {
		close(l.connecting)
		l.connecting = nil
	}
	l.mu.Unlock()
}

// run makes one session after the other.
func (l *link) run(ctx context.Context) {
	defer close(l.stopped)
	defer l.closing.Wait()
	defer l.settled()
	for told := false; ctx.Err() == nil; {
		used, err := l.use(ctx)
		if ctx.Err() != nil {
			return
		}
		if used || !told {
			l.log.Warn("the cache is away; everything is read from the database", "error", err)
			told = true
		}
		if used { // perhaps it is there again at once
			continue
		}
		l.settled()
		l.metrics.errors.WithLabelValues(opConnect).Inc()
		l.expire() // or it would become ever more
		select {
		case <-time.After(checkEvery):
		case <-ctx.Done():
		}
	}
}

// use makes a session and has it used until it is lost.
func (l *link) use(ctx context.Context) (used bool, err error) {
	s, err := l.connect(ctx)
	if err != nil {
		return false, err
	}
	defer l.closing.Go(s.close) // which takes its time when the server hangs
	defer l.lost(s)
	if err := l.pay(ctx, s); err != nil {
		return false, err
	}
	l.session.Store(s)
	l.settled()
	l.log.Info("the cache is used")
	for {
		select {
		case <-s.over:
			return true, errLost
		case <-l.owing:
			if err := l.pay(ctx, s); err != nil {
				return true, err
			}
		case <-ctx.Done():
			s.leave() //nolint:contextcheck // what is left to say does not end with what we did
			return true, ctx.Err()
		}
	}
}

// expire forgets what is owed and nobody can find any more.
func (l *link) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(l.owed, func(_ string, until time.Time) bool { return now.After(until) })
}

// pay deletes what is owed.
func (l *link) pay(ctx context.Context, s *session) error {
	l.expire()
	l.mu.RLock()
	owed := maps.Clone(l.owed)
	l.mu.RUnlock()
	for keys := range slices.Chunk(slices.Collect(maps.Keys(owed)), owedAtOnce) {
		if err := s.invalidate(ctx, keys); err != nil {
			return fmt.Errorf("take out what has changed meanwhile: %w", err)
		}
		l.mu.Lock()
		for _, key := range keys {
			if l.owed[key].Equal(owed[key]) { // it was not changed once more
				delete(l.owed, key)
			}
		}
		l.mu.Unlock()
	}
	return nil
}
