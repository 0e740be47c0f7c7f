// Package rpc contains what the store's processes need to call each other over gRPC: clients,
// request ids, metrics of calls, and the conversion between failures and gRPC statuses.
package rpc

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"merchstore.io/merchstore/internal/failure"
)

const (
	errorDomain       = "merchstore.io"
	requestIDMetadata = "request_id"
)

var codeOf = map[failure.Kind]codes.Code{
	failure.Invalid:         codes.InvalidArgument,
	failure.Unauthenticated: codes.Unauthenticated,
	failure.Forbidden:       codes.PermissionDenied,
	failure.NotFound:        codes.NotFound,
	failure.AlreadyExists:   codes.AlreadyExists,
	failure.Conflict:        codes.FailedPrecondition,
	failure.Stale:           codes.Aborted,
	failure.Exhausted:       codes.ResourceExhausted,
	failure.Unavailable:     codes.Unavailable,
}

var kindOf = func() map[codes.Code]failure.Kind {
	m := map[codes.Code]failure.Kind{}
	for kind, code := range codeOf {
		m[code] = kind
	}
	return m
}()

// Code returns the gRPC code of a kind of failure.
func Code(k failure.Kind) codes.Code {
	if c, ok := codeOf[k]; ok {
		return c
	}
	return codes.Internal
}

// CodeName returns the name of that code in gRPC's specification, for instance ALREADY_EXISTS.
func CodeName(k failure.Kind) string { return code.Code(Code(k)).String() } //nolint:gosec // sixteen codes

// Status returns the gRPC status to send for an error. The text of an error that is not a failure
// is not included.
func Status(err error) *status.Status {
	if f, ok := failure.As(err); ok {
		return failureStatus(f)
	}
	if s, ok := status.FromError(err); ok { // from gRPC itself or from a called service
		return s
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return status.New(codes.DeadlineExceeded, "the request took too long")
	}
	if errors.Is(err, context.Canceled) {
		return status.New(codes.Canceled, "the request was cancelled")
	}
	return failureStatus(failure.Internal("something went wrong on our side"))
}

func failureStatus(f *failure.Error) *status.Status {
	info := &errdetails.ErrorInfo{Reason: string(f.Reason), Domain: errorDomain}
	if f.RequestID != "" {
		info.Metadata = map[string]string{requestIDMetadata: f.RequestID}
	}
	details := []protoadapt.MessageV1{info}
	if len(f.Fields) > 0 {
		bad := new(errdetails.BadRequest)
		for _, field := range f.Fields {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: field.Name, Description: field.Message,
			})
		}
		details = append(details, bad)
	}
	if f.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
	}
	s := status.New(Code(f.Kind), f.Message)
	if detailed, err := s.WithDetails(details...); err == nil {
		return detailed
	}
	return s
}

// Failure returns the failure in the error of a gRPC call. Errors that mean that the service is
// unavailable become a failure as well. Other errors are returned unchanged.
func Failure(err error) error {
	s, ok := status.FromError(err)
	if !ok || err == nil {
		return err
	}
	kind, known := kindOf[s.Code()]
	switch s.Code() {
	case codes.DeadlineExceeded, codes.Unimplemented: // an older pod lacks a method during a rolling update
		kind, known = failure.Unavailable, true
	}
	f := failure.New(kind, "", s.Message())
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			f.Reason = failure.Reason(d.Reason)
			f.RequestID = d.Metadata[requestIDMetadata]
		case *errdetails.RetryInfo:
			f.RetryAfter = d.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, v := range d.FieldViolations {
				f.Fields = append(f.Fields, failure.Field{Name: v.Field, Message: v.Description})
			}
		}
	}
	switch {
	case !known:
		return err
	case f.Reason != "":
		return f
	case kind == failure.Unavailable:
		return failure.New(kind, failure.ReasonUnavailable, "a service is unavailable; try again in a moment").WithCause(err)
	default:
		return err // from gRPC itself, not meant for the caller
	}
}
