package cache

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// copies is level one: what was read over one connection and has not changed since, decoded. It implements rueidis.CacheStore, which
// hears of answers and of changes in the order in which the server has sent them. An answer can thus not come in after the news that
// it is out of date.
type copies struct {
	limit int // of each generation, in bytes

	mu    sync.RWMutex
	asked map[string]*entry // sent for, not answered yet
	// What is used moves to the young; when they have become many they are the old, and who was old is forgotten.
	young, old map[string]*entry
	size       int // of the young, in bytes
	closed     bool
}

type entry struct {
	answered chan struct{}
	answer   rueidis.RedisMessage
	err      error

	until   time.Time
	text    string
	value   any // what text says, once that was decoded
	decoded bool
	gone    chan struct{} // closed when it is out of date, or forgotten
}

// entryBytes is about what an entry takes beside its key and text, which are there twice: encoded and decoded.
const entryBytes = 500

func (e *entry) size(key string) int { return entryBytes + 2*(len(key)+len(e.text)) }

// Wait implements rueidis.CacheEntry.
func (e *entry) Wait(ctx context.Context) (rueidis.RedisMessage, error) {
	select {
	case <-e.answered:
		return e.answer, e.err
	case <-ctx.Done():
		return rueidis.RedisMessage{}, ctx.Err()
	}
}

func newCopies(limit int) *copies {
	return &copies{
		limit: limit / 2,
		asked: map[string]*entry{}, young: map[string]*entry{}, old: map[string]*entry{},
	}
}

// get finds what was decoded before.
func (c *copies) get(key string, now time.Time) (value any, found bool) {
	c.mu.RLock()
	e, isYoung := c.young[key]
	_, isOld := c.old[key]
	if isYoung {
		value, found = e.value, e.decoded && now.Before(e.until)
	}
	c.mu.RUnlock()
	if isYoung || !isOld {
		return value, found
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.find(key); e != nil {
		value, found = e.value, e.decoded && now.Before(e.until)
	}
	return value, found
}

// find makes an old one young.
func (c *copies) find(key string) *entry {
	if e := c.young[key]; e != nil {
		return e
	}
	e := c.old[key]
	if e != nil {
		delete(c.old, key)
		c.add(key, e)
	}
	return e
}

func (c *copies) add(key string, e *entry) {
	c.young[key] = e
	c.size += e.size(key)
	if c.size > c.limit {
		for _, forgotten := range c.old {
			close(forgotten.gone)
		}
		c.old, c.young, c.size = c.young, map[string]*entry{}, 0
	}
}

func (c *copies) remove(key string) {
	if e := c.young[key]; e != nil {
		c.size -= e.size(key)
		delete(c.young, key)
		close(e.gone)
	}
	if e := c.old[key]; e != nil {
		delete(c.old, key)
		close(e.gone)
	}
}

// drop forgets what has changed.
func (c *copies) drop(keys []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.remove(key)
	}
}

// remember keeps what text was decoded to, if it is still what the key holds.
func (c *copies) remember(key, text string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.find(key); e != nil && e.text == text {
		e.value, e.decoded = value, true
	}
}

// gone is closed when the key does not hold that text any more.
func (c *copies) gone(key, text string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.find(key); e != nil && e.text == text {
		return e.gone
	}
	changed := make(chan struct{})
	close(changed)
	return changed
}

// Flight implements rueidis.CacheStore: it gives what is there, or what is on its way, or nothing to the one who is to ask.
func (c *copies) Flight(key, _ string, ttl time.Duration, now time.Time) (rueidis.RedisMessage, rueidis.CacheEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.find(key); e != nil && now.Before(e.until) {
		return e.answer, nil
	}
	if e := c.asked[key]; e != nil {
		return rueidis.RedisMessage{}, e
	}
	if !c.closed {
		c.asked[key] = &entry{answered: make(chan struct{}), gone: make(chan struct{}), until: now.Add(ttl)}
	}
	return rueidis.RedisMessage{}, nil
}

// Update implements rueidis.CacheStore: an answer has come.
func (c *copies) Update(key, _ string, answer rueidis.RedisMessage) (pxat int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.asked[key]
	if e == nil { // nobody waits any more
		return answer.CachePXAT()
	}
	delete(c.asked, key)
	if at := answer.CachePXAT(); at > 0 {
		if end := time.UnixMilli(at); end.Before(e.until) {
			e.until = end
		}
	}
	e.answer = answer
	close(e.answered)
	if text, err := answer.ToString(); err == nil { // that there is nothing is not worth keeping: somebody is about to put it in
		e.text = text
		c.remove(key)
		c.add(key, e)
	}
	return e.until.UnixMilli()
}

// Cancel implements rueidis.CacheStore: there will be no answer.
func (c *copies) Cancel(key, _ string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.asked[key]; e != nil {
		delete(c.asked, key)
		e.err = err
		close(e.answered)
	}
}

// Delete implements rueidis.CacheStore: the server says what has changed; everything, if keys is nil.
func (c *copies) Delete(keys []rueidis.RedisMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if keys == nil {
		c.clear()
	}
	for _, message := range keys {
		if key, err := message.ToString(); err == nil {
			c.remove(key)
		}
	}
}

func (c *copies) clear() {
	for _, generation := range []map[string]*entry{c.young, c.old} {
		for key, e := range generation {
			delete(generation, key)
			close(e.gone)
		}
	}
	c.size = 0
}

// Close implements rueidis.CacheStore: the connection has ended, and nobody will tell what changes.
func (c *copies) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for key, e := range c.asked {
		delete(c.asked, key)
		e.err = err
		close(e.answered)
	}
	c.clear()
}
