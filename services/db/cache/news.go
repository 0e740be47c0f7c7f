package cache

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// A process that has changed something says so on the channel changes, and who has dropped its copies acknowledges it on a channel of
// the one who has changed it.
const (
	changes         = "merchstore:changes"
	acknowledgments = "merchstore:acknowledgments:"
)

const (
	// acknowledgeTimeout is what a write waits for a process that has not dropped its copies.
	acknowledgeTimeout = time.Second
	// absentFor is how long nobody waits any more for one that did not acknowledge in time: it hangs, or is about to be cut off.
	absentFor = 3 * time.Second
)

// news is what a process has told others and waits to be acknowledged, and what others have told and wait to be acknowledged.
type news struct {
	id string // of this session

	mu      sync.Mutex
	number  uint64              // of the newest change
	changes map[uint64]*change  // of this process
	heard   map[string][]string // numbers of others' changes, by their ids
	wake    chan struct{}       // when something was heard
	absent  int                 // how many do not acknowledge
	until   time.Time           // how long that is believed
}

type change struct {
	acknowledged int
	needed       int // -1: not known yet
	done         chan struct{}
}

func newNews(id string) *news {
	return &news{id: id, changes: map[uint64]*change{}, heard: map[string][]string{}, wake: make(chan struct{}, 1)}
}

func (n *news) message(number uint64) string { return n.id + " " + strconv.FormatUint(number, 10) }

// expect gives a change a number, before others can hear of it.
func (n *news) expect() (number uint64, acknowledged <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.number++
	c := &change{needed: -1, done: make(chan struct{})}
	n.changes[n.number] = c
	return n.number, c.done
}

func (n *news) dismiss(number uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.changes, number)
}

// settle is called with the lock, when there may be enough.
func (c *change) settle() {
	if c.needed >= 0 && c.acknowledged >= c.needed {
		c.needed = -1
		close(c.done)
	}
}

// await returns when as many others have acknowledged a change as have heard of it. It is false when one of them has not in time.
func (n *news) await(ctx context.Context, number uint64, others int, acknowledged, over <-chan struct{}) bool {
	n.mu.Lock()
	c := n.changes[number]
	c.needed = others
	if time.Now().Before(n.until) {
		c.needed = max(0, others-n.absent)
	}
	c.settle()
	n.mu.Unlock()
	patience := time.NewTimer(acknowledgeTimeout)
	defer patience.Stop()
	select {
	case <-acknowledged:
		return true
	case <-over: // nobody can tell us any more
	case <-ctx.Done():
	case <-patience.C:
		n.mu.Lock()
		n.absent, n.until = others-c.acknowledged, time.Now().Add(absentFor)
		n.mu.Unlock()
	}
	return false
}

// hear takes a message in. It must not wait for anything: until it returns, nothing is read from the connection.
func (n *news) hear(m rueidis.PubSubMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m.Channel != changes {
		for number := range strings.SplitSeq(m.Message, " ") {
			if parsed, err := strconv.ParseUint(number, 10, 64); err == nil && n.changes[parsed] != nil {
				n.changes[parsed].acknowledged++
				n.changes[parsed].settle()
			}
		}
		return
	}
	id, number, _ := strings.Cut(m.Message, " ")
	if id == n.id {
		return
	}
	n.heard[id] = append(n.heard[id], number)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// listen hears what others change and acknowledge until the session is over. It returns when the server has agreed.
func (s *session) listen(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	channels := []string{changes, acknowledgments + s.news.id}
	agreed, ended := make(chan struct{}, len(channels)), make(chan error, 1)
	agree := func(subscription rueidis.PubSubSubscription) {
		if subscription.Kind == "subscribe" {
			agreed <- struct{}{}
		}
	}
	s.work.Go(func() {
		defer cancel()
		subscribe := s.client.B().Subscribe().Channel(channels...).Build()
		ended <- s.client.Receive(rueidis.WithOnSubscriptionHook(ctx, agree), subscribe, s.news.hear)
		close(s.deaf)
		s.link.lost(s)
	})
	s.work.Go(s.acknowledge)
	timeout := time.NewTimer(connectTimeout)
	defer timeout.Stop()
	for range channels {
		select {
		case <-agreed:
		case err := <-ended:
			return fmt.Errorf("listen for changes: %w", err)
		case <-timeout.C:
			return fmt.Errorf("listen for changes: no answer within %s", connectTimeout)
		}
	}
	return nil
}

// acknowledge tells others that what they have changed is dropped here, as long as the session lasts.
func (s *session) acknowledge() {
	defer close(s.silent)
	for {
		select {
		case <-s.news.wake:
			s.acknowledgeHeard()
		case <-s.over:
			s.acknowledgeHeard() // the last ones
			return
		}
	}
}

// acknowledgeHeard acknowledges several changes at once if they come faster than that.
func (s *session) acknowledgeHeard() {
	s.news.mu.Lock()
	heard := s.news.heard
	s.news.heard = map[string][]string{}
	s.news.mu.Unlock()
	messages := make(rueidis.Commands, 0, len(heard))
	for id, numbers := range heard {
		messages = append(messages, s.client.B().Publish().Channel(acknowledgments+id).Message(strings.Join(numbers, " ")).Build())
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	for _, result := range s.client.DoMulti(ctx, messages...) {
		if err := result.Error(); err != nil {
			s.link.failed(s, opAcknowledge, err)
		}
	}
}

// leave hears the last of it before a session ends, so that nobody waits for an acknowledgment that does not come.
func (s *session) leave() {
	s.link.session.CompareAndSwap(s, nil)
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	if err := s.client.Do(ctx, s.client.B().Unsubscribe().Channel(changes).Build()).Error(); err != nil {
		return // it does not matter any more
	}
	select {
	case <-s.deaf: // all that was sent was heard
	case <-ctx.Done():
	}
}
