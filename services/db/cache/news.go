package cache

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// A process that has changed something says so on the channel changes, and who has dropped its copies acknowledges it on a channel of
// the one who has changed it. Either message is the id of its sender and numbers of changes, with spaces in between.
const (
	changes         = "merchstore:changes"
	acknowledgments = "merchstore:acknowledgments:"
)

const (
	// acknowledgeTimeout is what a write waits for a process that has not dropped its copies.
	acknowledgeTimeout = time.Second
	// absentFor is how long nobody waits any more for one that did not acknowledge in time, unless it acknowledges something after
	// all: it hangs, or is about to be cut off.
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

	// When not all have acknowledged in time, these are waited for, and nobody else, as long as no more and no fewer hear of it.
	present map[string]bool
	others  int       // how many heard of the change that not all have acknowledged
	until   time.Time // how long that holds
}

type change struct {
	acknowledged map[string]bool // by whom
	others       int             // who have heard of it; -1: not known yet
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
	c := &change{acknowledged: map[string]bool{}, others: -1, done: make(chan struct{})}
	n.changes[n.number] = c
	return n.number, c.done
}

func (n *news) dismiss(number uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.changes, number)
}

// settle is called with the lock, when a change may have been acknowledged by all that are waited for.
func (n *news) settle(c *change) {
	if c.others < 0 {
		return
	}
	if len(c.acknowledged) < c.others {
		if c.others != n.others || time.Now().After(n.until) {
			return
		}
		for id := range n.present {
			if !c.acknowledged[id] {
				return
			}
		}
	}
	c.others = -1
	close(c.done)
}

// acknowledge is called with the lock, when one has acknowledged changes of this process.
func (n *news) acknowledge(id, numbers string) {
	if time.Now().Before(n.until) {
		n.present[id] = true // it may have been absent until now
	}
	for number := range strings.SplitSeq(numbers, " ") {
		if parsed, err := strconv.ParseUint(number, 10, 64); err == nil && n.changes[parsed] != nil {
			n.changes[parsed].acknowledged[id] = true
			n.settle(n.changes[parsed])
		}
	}
}

// await returns when as many others have acknowledged a change as have heard of it. It is false when one of them has not in time.
func (n *news) await(ctx context.Context, number uint64, others int, acknowledged, over <-chan struct{}) bool {
	n.mu.Lock()
	c := n.changes[number]
	c.others = others
	n.settle(c)
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
		n.present, n.others, n.until = maps.Clone(c.acknowledged), others, time.Now().Add(absentFor)
		n.mu.Unlock()
	}
	return false
}

// hear takes a message in. It must not wait for anything: until it returns, nothing is read from the connection.
func (n *news) hear(m rueidis.PubSubMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, numbers, _ := strings.Cut(m.Message, " ")
	switch {
	case m.Channel != changes:
		n.acknowledge(id, numbers)
		return
	case id == n.id:
		return
	}
	n.heard[id] = append(n.heard[id], numbers)
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
		message := s.news.id + " " + strings.Join(numbers, " ")
		messages = append(messages, s.client.B().Publish().Channel(acknowledgments+id).Message(message).Build())
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
