package kafkatopic

import (
	"errors"
	"sync"
	"time"

	"merchstore.io/merchstore/operator/report"
)

// idleTime is how long a client that nobody uses is kept. It is longer than the time between two looks at a topic.
const idleTime = 10 * time.Minute

// pool keeps one session for each connection that is in use.
type pool struct {
	timeout time.Duration
	idle    time.Duration
	metrics *report.Metrics

	mu       sync.Mutex
	sessions map[connection]*session
	closed   bool
	closing  sync.WaitGroup // it may take as long as a name server takes to answer, and nobody else waits for it
}

func newPool(timeout, idle time.Duration, metrics *report.Metrics) *pool {
	return &pool{timeout: timeout, idle: idle, metrics: metrics, sessions: map[connection]*session{}}
}

// take gives a session, which must be given back. It does not wait for Kafka.
func (p *pool) take(c connection) (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the operator is stopping")
	}
	s := p.sessions[c]
	if s == nil {
		var err error
		if s, err = newSession(c, p.timeout, p.metrics); err != nil {
			return nil, err
		}
		p.sessions[c] = s
	}
	if s.users++; s.expiry != nil {
		s.expiry.Stop()
	}
	return s, nil
}

// giveBack ends the use of a session. One that is of no use is not given to anybody else: librdkafka says only once what is wrong,
// and a new client says it again, and knows the brokers' new addresses.
func (p *pool) giveBack(s *session, useless bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if useless {
		p.forget(s)
	}
	if s.users--; s.users > 0 {
		return
	}
	if p.sessions[s.connection] != s {
		p.closing.Go(s.close)
		return
	}
	s.expiry = time.AfterFunc(p.idle, func() { p.expire(s) })
}

func (p *pool) expire(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users == 0 && p.sessions[s.connection] == s {
		p.forget(s)
		p.closing.Go(s.close)
	}
}

// forget needs mu.
func (p *pool) forget(s *session) {
	if p.sessions[s.connection] == s {
		delete(p.sessions, s.connection)
	}
}

// close ends all sessions, those in use when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, s := range p.sessions {
		p.forget(s)
		if s.users == 0 {
			p.closing.Go(s.close)
		}
	}
	p.mu.Unlock()
	p.closing.Wait()
}
