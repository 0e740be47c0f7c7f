// Package problem is the one place where an error becomes what a client of the REST service sees of it: a status, a few
// headers, and a body after RFC 9457.
package problem

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/failure"
)

// ContentType is that of every body with which a request is refused.
const ContentType = "application/problem+json"

const (
	internalMessage    = "something went wrong on our side"
	unavailableMessage = "a service is away; try again in a moment"
	// laterIsBetter is what a client is told to wait where nobody knows better.
	laterIsBetter = time.Second
	challenge     = `Bearer realm="merchstore"`
)

// CodeInvalidToken is the code of a 401 to a request that has sent a token. The DB service uses the same word.
const CodeInvalidToken failure.Reason = "invalid_token"

// Error is a failure along with what only HTTP has words for.
type Error struct {
	Failure *failure.Error
	// Status overrides what the kind of failure stands for; 0 leaves it.
	Status int
	// RetryAfter is how long the client should wait; 0 leaves it to the kind of failure.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Failure.Error() }

// Unwrap gives the failure.
func (e *Error) Unwrap() error { return e.Failure }

// New makes an error for what HTTP itself forbids, before any rule of the store is asked.
func New(httpStatus int, code failure.Reason, detail string) *Error {
	return &Error{Status: httpStatus, Failure: failure.New(failure.Invalid, code, detail)}
}

// Details is the body of a refusal.
type Details struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Code      string  `json:"code"`
	RequestID string  `json:"request_id"`
	Errors    []Field `json:"errors,omitzero"`
}

// Field says what is wrong with one field.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Answer is a refusal, ready to be written.
type Answer struct {
	Details
	// RetryAfter is a header if not empty, and so is Challenge.
	RetryAfter string
	Challenge  string
	// Internal is true if the client is told nothing of what happened, so that it must be logged.
	Internal bool
}

// Failure finds what a client may know of any error.
func Failure(err error) *failure.Error {
	if f, ok := failure.As(err); ok && f.Kind != 0 {
		return f
	}
	// A call that ended because the other side was stopped, or because its time was up.
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.Canceled {
		return failure.New(failure.Unavailable, failure.ReasonUnavailable, unavailableMessage).Because(err)
	}
	return failure.New(0, failure.ReasonInternal, internalMessage).Because(err)
}

// For makes the answer to a request that ended in err. requestID is that of this very request; a failure that is being
// replayed keeps the one it had at first, so that its body is the same to the letter.
func For(err error, requestID string) Answer {
	f := Failure(err)
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Failure: f}
	}
	httpStatus := e.Status
	if httpStatus == 0 {
		httpStatus = statusOf(f.Kind)
	}
	if f.RequestID != "" {
		requestID = f.RequestID
	}
	a := Answer{
		Details: Details{
			Type: "about:blank", Title: http.StatusText(httpStatus), Status: httpStatus,
			Detail: f.Message, Code: string(f.Reason), RequestID: requestID,
		},
		Internal: httpStatus == http.StatusInternalServerError,
	}
	for _, field := range f.Fields {
		a.Errors = append(a.Errors, Field{Field: field.Name, Message: field.Message})
	}
	switch httpStatus {
	case http.StatusUnauthorized:
		a.Challenge = challenge
		if f.Reason == CodeInvalidToken { // RFC 6750: no error is named to a client that has sent no token
			a.Challenge += `, error="invalid_token"`
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		a.RetryAfter = seconds(max(e.RetryAfter, laterIsBetter))
	}
	return a
}

// seconds rounds up: a client that comes back a moment too early is refused once more.
func seconds(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}

func statusOf(k failure.Kind) int {
	switch k {
	case failure.Invalid:
		return http.StatusUnprocessableEntity
	case failure.Unauthenticated:
		return http.StatusUnauthorized
	case failure.Forbidden:
		return http.StatusForbidden
	case failure.NotFound:
		return http.StatusNotFound
	case failure.Exists, failure.Conflict:
		return http.StatusConflict
	case failure.Stale:
		return http.StatusPreconditionFailed
	case failure.Exhausted:
		return http.StatusTooManyRequests
	case failure.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
