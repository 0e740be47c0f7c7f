// Package problem is the one place that maps errors to HTTP responses: a status, headers, and a
// body as RFC 9457 specifies.
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

// ContentType is the media type of error responses.
const ContentType = "application/problem+json"

const (
	internalMessage    = "something went wrong on our side"
	unavailableMessage = "a service is unavailable; try again in a moment"
	defaultRetryAfter  = time.Second
	challenge          = `Bearer realm="merchstore"`
)

// CodeInvalidToken is the code for a token that is not accepted. The DB service uses it as well.
const CodeInvalidToken failure.Reason = "invalid_token"

// CodeUnsupportedEncoding is the code for a body that is compressed.
const CodeUnsupportedEncoding failure.Reason = "unsupported_content_encoding"

// Error is a failure with attributes that only HTTP has.
type Error struct {
	Failure *failure.Error
	// Status overrides the status of the failure's kind unless it is 0.
	Status int
}

func (e *Error) Error() string { return e.Failure.Error() }

// Unwrap returns the failure.
func (e *Error) Unwrap() error { return e.Failure }

// New returns an error with an HTTP status, for requests that are rejected before the DB service is
// called.
func New(httpStatus int, code failure.Reason, detail string) *Error {
	return &Error{Status: httpStatus, Failure: failure.New(failure.Invalid, code, detail)}
}

// Details is the body of an error response.
type Details struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Code      string  `json:"code"`
	RequestID string  `json:"request_id"`
	Errors    []Field `json:"errors,omitzero"`
}

// Field is the error of one field.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Response is an error response.
type Response struct {
	Details
	RetryAfter string // header, unless empty
	Challenge  string // header WWW-Authenticate, unless empty
	Encoding   string // header Accept-Encoding, unless empty
	// Internal reports whether the client is told nothing of the error.
	Internal bool
}

// Failure returns what a client may know of err.
func Failure(err error) *failure.Error {
	if f, ok := failure.As(err); ok && f.Kind != 0 {
		return f
	}
	// A call ends like this when its deadline passes or the other side shuts down.
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.Canceled {
		return failure.New(failure.Unavailable, failure.ReasonUnavailable, unavailableMessage).WithCause(err)
	}
	return failure.Internal(internalMessage).WithCause(err)
}

// For returns the response for err. requestID is that of the current request; a replayed failure
// keeps its first one, so that its body does not change.
func For(err error, requestID string) Response {
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
	r := Response{
		Details: Details{
			Type: "about:blank", Title: http.StatusText(httpStatus), Status: httpStatus,
			Detail: f.Message, Code: string(f.Reason), RequestID: requestID,
		},
		Internal: httpStatus == http.StatusInternalServerError,
	}
	for _, field := range f.Fields {
		r.Errors = append(r.Errors, Field{Field: field.Name, Message: field.Message})
	}
	switch httpStatus {
	case http.StatusUnauthorized:
		r.Challenge = challenge
		if f.Reason == CodeInvalidToken { // RFC 6750: no error for requests without a token
			r.Challenge += `, error="invalid_token"`
		}
	case http.StatusUnsupportedMediaType:
		if f.Reason == CodeUnsupportedEncoding { // RFC 9110, section 12.5.3
			r.Encoding = "identity"
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait := max(f.RetryAfter, defaultRetryAfter)
		r.RetryAfter = strconv.Itoa(int(math.Ceil(wait.Seconds())))
	}
	return r
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
	case failure.AlreadyExists, failure.Conflict:
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
