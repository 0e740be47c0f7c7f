// Package client is a rate-limited client of the store's REST API. It backs off when the store asks
// for it or does not respond.
package client

import (
	"bytes"
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
	// requestTimeout is slightly longer than the store's own.
	requestTimeout = 12 * time.Second
	// maxBody is larger than the store's largest page or picture.
	maxBody = 16 << 20
)

// Client sends the requests of all users to one store. It is safe for concurrent use.
type Client struct {
	url         *url.URL
	http        *http.Client
	limiter     *rate.Limiter
	log         *slog.Logger
	metrics     *metrics
	unreachable atomic.Bool
}

// New returns a Client of the store at address, for instance http://127.0.0.1:8081. All users
// together send at most perSecond requests per second, over at most the given number of
// connections.
func New(address string, perSecond float64, connections int, log *slog.Logger, registry prometheus.Registerer) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("parse the store's URL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("the store's URL %q is not like http://127.0.0.1:8081", address)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return &Client{
		url: u, limiter: rate.NewLimiter(rate.Limit(perSecond), 1), log: log, metrics: newMetrics(registry),
		http: &http.Client{
			Timeout: requestTimeout,
			Transport: &http.Transport{
				MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute,
			},
			// A redirect must not send load to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// SetRate changes the limit, in requests per second.
func (c *Client) SetRate(perSecond float64) { c.limiter.SetLimit(rate.Limit(perSecond)) }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is a request to the store.
type Request struct {
	// Action is the request's purpose. It is a label of metrics, so there are only a few.
	Action string
	Method string
	// Path begins with a slash, and may have a query.
	Path   string
	Header map[string]string
	Body   []byte
	// ContentType describes Body. The default is application/json.
	ContentType string
}

// Response is the store's response, or Outcome alone if there was none.
type Response struct {
	Outcome Outcome
	// Status is the HTTP status code, 0 without a response.
	Status int
	Header http.Header
	Body   []byte
}

// Final reports whether sending the same request again would have the same outcome.
func (r Response) Final() bool {
	switch r.Outcome {
	case NoResponse, ServerError, RateLimited, Unavailable, InFlight:
		return false
	default:
		return true
	}
}

// send sends the request without waiting for the rate limiter. The end of ctx does not cancel it,
// so that the outcome of an order is known.
func (c *Client) send(ctx context.Context, token string, r Request) Response {
	start := time.Now()
	response, err := c.roundTrip(context.WithoutCancel(ctx), token, r)
	duration := time.Since(start)
	if err != nil {
		response = Response{Outcome: NoResponse}
	}
	c.metrics.observe(r.Action, response.Outcome, duration)
	switch {
	case err != nil && !c.unreachable.Swap(true):
		c.log.Warn("store does not respond, retrying", "error", err)
	case err == nil && c.unreachable.Swap(false):
		c.log.Info("store responds again")
	}
	return response
}

func (c *Client) roundTrip(ctx context.Context, token string, r Request) (Response, error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, c.url.String()+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return Response{}, fmt.Errorf("create request: %w", err)
	}
	if request.URL.Host != c.url.Host {
		return Response{}, fmt.Errorf("path %q leads to another host", r.Path)
	}
	if len(r.Body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.ContentType != "" {
		request.Header.Set("Content-Type", r.ContentType)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("User-Agent", "merchstore-loadgen")
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Response{}, fmt.Errorf("send request: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errors.New("body is too large")
	}
	if err != nil {
		return Response{}, fmt.Errorf("read response: %w", err)
	}
	return Response{
		Outcome: outcome(response.StatusCode, response.Header, body),
		Status:  response.StatusCode, Header: response.Header, Body: body,
	}, nil
}
