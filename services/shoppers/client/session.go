package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	firstWait = 500 * time.Millisecond
	// longestWait is also the longest that the store is believed when it asks for patience.
	longestWait = 30 * time.Second
)

// Session is one person's way to the store. Only one goroutine may use it.
type Session struct {
	Store *Store
	// Token goes with every request, unless it is empty.
	Token string

	failures int       // one after the other
	until    time.Time // nothing is sent before
}

// Send waits for this person's turn, and makes the request. That there was no answer is an [Outcome] as well; the error is that ctx has
// ended before anything was sent. Who was told to come back later, or got no answer, does so by waiting before the next request.
func (s *Session) Send(ctx context.Context, r Request) (Answer, error) {
	if err := pause(ctx, time.Until(s.until)); err != nil {
		return Answer{}, err
	}
	if err := s.Store.pace.Wait(ctx); err != nil {
		return Answer{}, fmt.Errorf("wait for a turn: %w", err)
	}
	a := s.Store.send(ctx, s.Token, r)
	switch a.Outcome {
	case NoAnswer, Failed:
		s.until = time.Now().Add(backoff(s.failures, rand.Float64()))
		s.failures++
	case Limited, Unavailable, InFlight:
		s.until = time.Now().Add(retryAfter(a.Header.Get("Retry-After"), rand.Float64()))
	default:
		s.failures = 0
	}
	return a, nil
}

// backoff doubles with every failure, and is spread between a half and the whole of that, so that not everybody comes back at once.
func backoff(failures int, chance float64) time.Duration {
	whole := min(longestWait, firstWait<<min(failures, 16))
	return whole/2 + time.Duration(chance*float64(whole/2))
}

// retryAfter is what the header asks for, in seconds, and up to a half more.
func retryAfter(header string, chance float64) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		seconds = 1
	}
	whole := min(longestWait, time.Duration(min(seconds, 3600))*time.Second)
	return whole + time.Duration(chance*float64(whole/2))
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err() //nolint:wrapcheck // the context's own error is what callers look for
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the same
	}
}
