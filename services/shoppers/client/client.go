// Package client speaks to the store's REST service as people's programs do: no faster than agreed, and patient when the store asks for
// it or is away.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

const (
	// answerLimit is a little more than the store takes before it gives up itself.
	answerLimit = 12 * time.Second
	// bodyLimit is more than the store's largest page or picture.
	bodyLimit = 16 << 20
)

// Store is the one store that requests go to, whoever makes them. It is safe for concurrent use.
type Store struct {
	url     *url.URL
	http    *http.Client
	pace    *rate.Limiter
	log     *slog.Logger
	metrics *measurements
	away    atomic.Bool
}

// New makes a Store of its address, for instance http://127.0.0.1:8081. Everybody's requests together are at most perSecond, and at
// most connections go on at a time.
func New(address string, perSecond float64, connections int, log *slog.Logger, metrics prometheus.Registerer) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("read the store's address: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("the store's address %q is not like http://127.0.0.1:8081", address)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return &Store{
		url: u, pace: rate.NewLimiter(rate.Limit(perSecond), 1), log: log, metrics: newMeasurements(metrics),
		http: &http.Client{
			Timeout:   answerLimit,
			Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute},
			// Nothing is sent anywhere else, whatever the store answers.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Hurry changes the pace, in requests per second.
func (s *Store) Hurry(perSecond float64) { s.pace.SetLimit(rate.Limit(perSecond)) }

// Close lets go of connections that nobody uses any more.
func (s *Store) Close() { s.http.CloseIdleConnections() }

// Request is what somebody asks of the store.
type Request struct {
	// Action says what it is for; it is a label of metrics, so there are only a few.
	Action string
	Method string
	// Path begins with a slash, and may have a query.
	Path   string
	Header map[string]string
	// Body is sent as Type, as JSON if that is empty.
	Body []byte
	Type string
}

// Answer is what the store said.
type Answer struct {
	Outcome Outcome
	// Status is that of HTTP, 0 if there was no answer.
	Status int
	Header http.Header
	Body   []byte
}

// Final tells whether the same request would be answered the same again; otherwise it is worth another try.
func (a Answer) Final() bool {
	switch a.Outcome {
	case NoAnswer, Failed, Limited, Unavailable, InFlight:
		return false
	default:
		return true
	}
}

// send makes the request now. It does not stop half-way when ctx ends: what an order came to is better known.
func (s *Store) send(ctx context.Context, token string, r Request) Answer {
	start := time.Now()
	a, err := s.exchange(context.WithoutCancel(ctx), token, r)
	took := time.Since(start)
	if err != nil {
		a = Answer{Outcome: NoAnswer}
	}
	s.metrics.count(r.Action, a.Outcome, took)
	switch {
	case err != nil && !s.away.Swap(true):
		s.log.Warn("the store does not answer; it is asked again until it does", "error", err)
	case err == nil && s.away.Swap(false):
		s.log.Info("the store answers again")
	}
	return a
}

func (s *Store) exchange(ctx context.Context, token string, r Request) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, s.url.String()+r.Path, strings.NewReader(string(r.Body)))
	if err != nil {
		return Answer{}, fmt.Errorf("prepare request: %w", err)
	}
	if request.URL.Host != s.url.Host {
		return Answer{}, fmt.Errorf("the path %q leads away from the store", r.Path)
	}
	if len(r.Body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.Type != "" {
		request.Header.Set("Content-Type", r.Type)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("User-Agent", "merchstore-shoppers")
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	response, err := s.http.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("ask the store: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit+1))
	if err == nil && len(body) > bodyLimit {
		err = errors.New("it is too long")
	}
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return Answer{Outcome: outcome(response.StatusCode, response.Header, body), Status: response.StatusCode, Header: response.Header, Body: body}, nil
}
