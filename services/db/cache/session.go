package cache

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// session is a connection to the server, and the copies that were read over it. Both end together.
type session struct {
	link   *link
	client rueidis.Client
	fill   *rueidis.Lua
	copies *copies
	news   *news

	over   chan struct{} // closed when it is lost
	deaf   chan struct{} // closed when it hears nothing any more
	silent chan struct{} // closed when it has acknowledged what it has heard
	end    func()
	work   sync.WaitGroup
}

// connect begins a session: it hears what others change.
func (l *link) connect(ctx context.Context) (*session, error) {
	over := make(chan struct{})
	s := &session{link: l, over: over, deaf: make(chan struct{}), silent: make(chan struct{}), end: sync.OnceFunc(func() { close(over) })}
	// Puts a value in, or nothing if it is empty, where the mark is still to be found.
	s.fill = rueidis.NewLuaScript(`
		if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
		if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
		redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
		return 1`)
	s.copies = newCopies(l.localBytes)
	option := l.option
	var connected atomic.Bool
	option.NewCacheStoreFn = func(rueidis.CacheStoreOption) rueidis.CacheStore {
		if connected.Swap(true) { // the client connects once more by itself: the session is over, and nobody uses that
			l.lost(s)
			return newCopies(0)
		}
		return s.copies
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, fmt.Errorf("connect to the cache: %w", err)
	}
	s.client = client
	s.news = newNews(rand.Text())
	if err := s.listen(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends the connection.
func (s *session) close() {
	s.end()
	<-s.silent
	s.client.Close()
	s.work.Wait()
}

// get reads a key, and has the server tell when it changes. It gives an empty text if there is none. One who goes away does not
// take others along who wait for the same answer.
func (s *session) get(ctx context.Context, key string) (text string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	text, err = s.client.DoCache(ctx, s.client.B().Get().Key(key).Cache(), s.link.ttl).ToString()
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	if err != nil {
		s.link.failed(s, opRead, err)
	}
	return text, err
}

// mark puts a mark where there is nothing.
func (s *session) mark(ctx context.Context, key, mark string) (mine bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	err = s.client.Do(ctx, s.client.B().Set().Key(key).Value(mark).Nx().Px(markTTL).Build()).Error()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	if err != nil {
		s.link.failed(s, opLock, err)
	}
	return err == nil, err
}

// put replaces a mark by a text.
func (s *session) put(ctx context.Context, key, mark, text string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	ttl := fmt.Sprint(s.link.ttl.Milliseconds())
	if err := s.fill.Exec(ctx, s.client, []string{key}, []string{mark, text, ttl}).Error(); err != nil {
		s.link.failed(s, opStore, err)
	}
}

// awaitChange waits until a key has not that text any more.
func (s *session) awaitChange(ctx context.Context, key, text string, patience <-chan time.Time) bool {
	select {
	case <-s.copies.gone(key, text):
		return true
	case <-patience:
	case <-ctx.Done():
	}
	return false
}

// invalidate deletes keys, and waits until no process has copies of them. That of one that does not answer may stay. An error says
// that the keys may not be deleted, or that this process can't hear who acknowledges.
func (s *session) invalidate(ctx context.Context, keys []string) error {
	number, acknowledged := s.news.expect()
	defer s.news.dismiss(number)
	soon, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	// The server tells of both in this order: who has heard of the second has dropped its copies.
	results := s.client.DoMulti(soon,
		s.client.B().Del().Key(keys...).Build(),
		s.client.B().Publish().Channel(changes).Message(s.news.message(number)).Build(),
	)
	if err := results[0].Error(); err != nil {
		return fmt.Errorf("delete from the cache: %w", err)
	}
	s.copies.drop(keys) // the server tells us as well, but only after this answer
	reached, err := results[1].AsInt64()
	if err != nil {
		return fmt.Errorf("announce a change: %w", err)
	}
	inTime := s.news.await(ctx, number, int(reached)-1, acknowledged, s.over)
	select {
	case <-s.over:
		// If the client has connected once more, this process was not among those reached, and one too few were waited for.
		return fmt.Errorf("hear who acknowledges a change: %w", errLost)
	default:
	}
	if !inTime {
		s.link.metrics.errors.WithLabelValues(opAcknowledge).Inc()
	}
	return nil
}
