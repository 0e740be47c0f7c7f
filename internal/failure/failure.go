// Package failure defines the type of errors that are shown to callers. Any other error is
// internal: it is logged, and the caller receives a generic message.
package failure

import (
	"errors"
	"time"
)

// Kind classifies failures by what the caller can do about them.
type Kind int

// The kinds. Each maps to one gRPC code and one HTTP status.
const (
	Invalid         Kind = iota + 1 // the request is invalid and cannot succeed
	Unauthenticated                 // the caller is not authenticated
	Forbidden                       // the caller lacks permission
	NotFound                        // the resource does not exist
	AlreadyExists                   // a unique value is already in use
	Conflict                        // the state of the resource does not permit the request
	Stale                           // the resource has changed since the caller read it
	Exhausted                       // too many requests; retry later
	Unavailable                     // a dependency is unavailable; retry later
)

// Reason is a stable identifier for programs, such as "out_of_stock". REST returns it as `code`,
// gRPC as the `reason` of a google.rpc.ErrorInfo.
type Reason string

// Error is an error whose message is safe to show to the caller.
type Error struct {
	Kind    Kind
	Reason  Reason
	Message string
	// Fields are the invalid fields of the request.
	Fields []Field
	// RequestID is the id of the original request if the failure is replayed, otherwise empty.
	RequestID string
	// RetryAfter is when the caller should try again; 0 if that is not known.
	RetryAfter time.Duration
	// Cause is logged and never shown to the caller. It may be nil.
	Cause error
}

// Field describes an invalid field, with its name as in the request.
type Field struct {
	Name    string
	Message string
}

// New returns a failure.
func New(kind Kind, reason Reason, message string) *Error {
	return &Error{Kind: kind, Reason: reason, Message: message}
}

// Internal returns a failure the caller can do nothing about. It has no kind.
func Internal(message string) *Error { return New(0, ReasonInternal, message) }

// InvalidField returns a failure of kind Invalid for one field.
func InvalidField(name, message string) *Error {
	return &Error{
		Kind: Invalid, Reason: ReasonInvalid, Message: name + " " + message,
		Fields: []Field{{Name: name, Message: message}},
	}
}

// WithRetryAfter returns a copy of e with the time after which to try again.
func (e *Error) WithRetryAfter(wait time.Duration) *Error {
	c := *e
	c.RetryAfter = wait
	return &c
}

// WithCause returns a copy of e with an internal cause.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the internal cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is a failure with the same reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == e.Reason
}

// As returns the failure in err's chain, if there is one.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}
