package rpcserver

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpc"
)

// codec is gRPC's codec for protobuf, with a limit for each type of request, and responses that are
// counted until they are sent.
type codec struct {
	encoding.CodecV2
	limits map[string]int // in bytes, by the full name of the message; "" is for all others
}

func newCodec(limits map[string]int) codec {
	return codec{encoding.GetCodecV2(protocodec.Name), limits}
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	p, ok := v.(*pending)
	if !ok {
		return c.CodecV2.Unmarshal(data, v) //nolint:wrapcheck // as gRPC's codec
	}
	name := p.message.ProtoReflect().Descriptor().FullName()
	limit, limited := c.limits[string(name)]
	if !limited {
		limit, limited = c.limits[""]
	}
	if limited && data.Len() > limit {
		p.err = failure.New(failure.Invalid, failure.ReasonInvalid,
			fmt.Sprintf("%s must not be larger than %d bytes", name.Name(), limit))
	} else if err := c.CodecV2.Unmarshal(data, p.message); err != nil {
		p.err = failure.New(failure.Invalid, failure.ReasonInvalid, "the request is not a valid "+string(name.Name())).WithCause(err)
	}
	return nil
}

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(response)
	if !ok {
		return c.CodecV2.Marshal(v) //nolint:wrapcheck // as gRPC's codec
	}
	size := proto.Size(r.Message)
	if mem.IsBelowBufferPoolingThreshold(size) {
		return c.CodecV2.Marshal(r.Message) //nolint:wrapcheck // as gRPC's codec
	}
	buffer := r.conn.Get(size)
	if _, err := (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend((*buffer)[:0], r.Message); err != nil {
		r.conn.Put(buffer)
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return mem.BufferSlice{mem.NewBuffer(buffer, r.conn)}, nil
}

// response is a response with the connection that it is sent on.
type response struct {
	proto.Message
	conn *connection
}

// pending is a request that is neither read nor decoded yet.
type pending struct {
	message proto.Message
	read    func(any) error
	err     error // of decoding; gRPC would report it as an error of the server
}

// readLate changes how a method is served: interceptors receive its request as a pending, so that
// one of them can authenticate the caller before anything is spent on the request.
func readLate(serve grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, read func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		p := &pending{read: read}
		capture := func(message any) error { p.message, _ = message.(proto.Message); return nil }
		resp, err := serve(srv, ctx, capture, func(ctx context.Context, _ any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			return intercept(ctx, p, info, handle)
		})
		message, ok := resp.(proto.Message)
		conn := connectionOf(ctx)
		if err != nil || !ok || conn == nil {
			return resp, err
		}
		if err := conn.checkUnsent(message); err != nil {
			return nil, rpc.Status(err).Err()
		}
		return response{message, conn}, nil
	}
}

// unaryRead reads requests. Interceptors after it receive the message.
func unaryRead(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	p, ok := req.(*pending)
	if !ok {
		return handle(ctx, req)
	}
	if err := p.read(p); err != nil {
		return nil, err // gRPC has sent it already
	}
	if p.err != nil {
		return nil, p.err
	}
	return handle(ctx, p.message)
}
