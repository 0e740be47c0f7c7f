package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// requestIDKey is the metadata key of the request id.
const requestIDKey = "x-request-id"

type requestIDContextKey struct{}

// WithRequestID returns a context with a request id, which gRPC calls made with it propagate.
func WithRequestID(ctx context.Context, id string) context.Context {
	return metadata.AppendToOutgoingContext(context.WithValue(ctx, requestIDContextKey{}, id), requestIDKey, id)
}

// WithIncomingRequestID returns a context with the request id of the incoming gRPC call, if it has
// one.
func WithIncomingRequestID(ctx context.Context) context.Context {
	if ids := metadata.ValueFromIncomingContext(ctx, requestIDKey); len(ids) > 0 && len(ids[0]) <= 128 {
		return context.WithValue(ctx, requestIDContextKey{}, ids[0])
	}
	return ctx
}

// RequestID returns the request id of ctx, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDContextKey{}).(string)
	return id
}
