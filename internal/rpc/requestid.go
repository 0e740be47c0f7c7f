package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// requestIDKey is the metadata key a request's id travels under.
const requestIDKey = "x-request-id"

type requestIDContextKey struct{}

// WithRequestID gives a context the id of the request it serves, for logs here and in the services called from it.
func WithRequestID(ctx context.Context, id string) context.Context {
	return metadata.AppendToOutgoingContext(context.WithValue(ctx, requestIDContextKey{}, id), requestIDKey, id)
}

// WithIncomingRequestID takes the id that a gRPC call came with.
func WithIncomingRequestID(ctx context.Context) context.Context {
	if ids := metadata.ValueFromIncomingContext(ctx, requestIDKey); len(ids) > 0 && len(ids[0]) <= 128 {
		return context.WithValue(ctx, requestIDContextKey{}, ids[0])
	}
	return ctx
}

// RequestID is the id of the request that ctx serves, or empty.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDContextKey{}).(string)
	return id
}
