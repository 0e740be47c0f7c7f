// Package failure holds the one kind of error that is meant for the caller's eyes. Any other error is internal: it is
// logged, and the caller is told no more than that something went wrong.
package failure

import "errors"

// Kind sorts failures by what the caller can do about them.
type Kind int

// The kinds. Each maps to one gRPC status and one HTTP status.
const (
	Invalid         Kind = iota + 1 // the request can not succeed as it is written
	Unauthenticated                 // who is calling is not known
	Forbidden                       // who is calling may not
	NotFound                        // there is no such thing
	Exists                          // something unique is taken
	Conflict                        // the state of things forbids it
	Stale                           // somebody has changed it since it was read
	Exhausted                       // too many calls; later is better
	Unavailable                     // something needed is away; later is better
)

// Reason is a stable word that programs can act on, like "out_of_stock". REST shows it as `code`, gRPC as the `reason`
// of a google.rpc.ErrorInfo.
type Reason string

// Error is a failure whose message is safe, and meant, to be shown to the caller.
type Error struct {
	Kind    Kind
	Reason  Reason
	Message string
	// Fields says which fields of the request are at fault.
	Fields []Field
	// RequestID is that of the call that failed first, where a failure is being replayed; else empty.
	RequestID string
	// Cause is logged and never shown. It may be nil.
	Cause error
}

// Field says what is wrong with one field of a request, named as the caller wrote it.
type Field struct {
	Name    string
	Message string
}

// New makes a failure.
func New(kind Kind, reason Reason, message string) *Error {
	return &Error{Kind: kind, Reason: reason, Message: message}
}

// InvalidField makes a failure that blames one field.
func InvalidField(name, message string) *Error {
	return &Error{
		Kind: Invalid, Reason: ReasonInvalid, Message: name + " " + message,
		Fields: []Field{{Name: name, Message: message}},
	}
}

// Because returns a copy that carries the internal cause for the log.
func (e *Error) Because(cause error) *Error {
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

// Unwrap gives the internal cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is makes errors.Is compare failures by their reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == e.Reason
}

// As finds the failure in err's chain.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}
