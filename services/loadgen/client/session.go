package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	minBackoff = 500 * time.Millisecond
	// maxBackoff also bounds Retry-After.
	maxBackoff = 30 * time.Second
)

// Session sends the requests of one user, one after the other. It is not safe for concurrent use.
type Session struct {
	Client *Client
	// Token authenticates every request, unless it is empty.
	Token string

	failures  int       // consecutive
	notBefore time.Time // earliest time of the next request
}

// Send waits for the rate limiter, then sends the request. A request without a response is an
// [Outcome] too: the error is non-nil only if ctx ends before the request is sent. After a failure,
// or a response that asks to retry later, the next call waits first.
func (s *Session) Send(ctx context.Context, r Request) (Response, error) {
	if err := wait(ctx, time.Until(s.notBefore)); err != nil {
		return Response{}, err
	}
	if err := s.Client.limiter.Wait(ctx); err != nil {
		return Response{}, fmt.Errorf("wait for the rate limiter: %w", err)
	}
	response := s.Client.send(ctx, s.Token, r)
	switch response.Outcome {
	case NoResponse, ServerError:
		s.notBefore = time.Now().Add(backoff(s.failures, rand.Float64()))
		s.failures++
	case RateLimited, Unavailable, InFlight:
		s.notBefore = time.Now().Add(retryAfter(response.Header.Get("Retry-After"), rand.Float64()))
	default:
		s.failures = 0
	}
	return response, nil
}

// backoff doubles with every failure up to maxBackoff. jitter, in [0, 1), spreads it over the upper
// half of that, so that users do not retry at the same time.
func backoff(failures int, jitter float64) time.Duration {
	limit := min(maxBackoff, minBackoff<<min(failures, 16))
	return limit/2 + time.Duration(jitter*float64(limit/2))
}

// retryAfter returns the header's delay, in seconds, plus up to a half for jitter in [0, 1).
func retryAfter(header string, jitter float64) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		seconds = 1
	}
	delay := min(maxBackoff, time.Duration(min(seconds, 3600))*time.Second)
	return delay + time.Duration(jitter*float64(delay/2))
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
