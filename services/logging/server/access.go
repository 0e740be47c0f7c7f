package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/rpcserver"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

const (
	authorization  = "authorization"
	accountTimeout = 5 * time.Second
)

// caller is the process that calls. It is zero for one without a token.
type caller struct{ service, pod string }

type callerKey struct{}

// names are those of services in tokens, by their names in certificates.
var names = map[string]string{"api": "REST API", "db": "DB service"}

// Authenticate returns an interceptor that admits only the store's services, before anything of the
// stream is read. If calls are encrypted, the token has to name the service of the certificate: all
// services have the keys that sign tokens. With anonymous, it admits writers without a token as well.
func Authenticate(keys *token.Keys, anonymous bool) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		ctx := stream.Context()
		name, pod, err := keys.VerifyService(func(key string) []string { return metadata.ValueFromIncomingContext(ctx, key) })
		ours := strings.HasPrefix(info.FullMethod, "/"+merchstorev1.LoggingService_ServiceDesc.ServiceName+"/")
		open := !ours || anonymous && info.FullMethod != merchstorev1.LoggingService_TailLogs_FullMethodName
		if service := rpcserver.Caller(ctx); ours && err == nil && service != "" && names[service] != name {
			open, err = false, fmt.Errorf("the token names %q, and the certificate is that of %q", name, service)
		}
		if err != nil && !open {
			return failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated,
				"only the store's services may call this; their token is not valid").WithCause(err)
		}
		return handle(srv, &callerStream{stream, context.WithValue(ctx, callerKey{}, caller{name, pod})})
	}
}

// callerStream is a stream whose context has the caller.
type callerStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // as grpc.ServerStream returns it
}

// Context implements grpc.ServerStream.
func (s *callerStream) Context() context.Context { return s.ctx }

// requireAdmin returns an error unless the caller is an active admin. It asks the DB service,
// which knows deactivated accounts. If that call fails, access is denied.
func (s *Server) requireAdmin(ctx context.Context) error {
	headers := metadata.ValueFromIncomingContext(ctx, authorization)
	if len(headers) == 0 {
		return failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated,
			"a token is needed: metadata `authorization: Bearer <JWT>`")
	}
	if _, ok := token.FromHeader(headers[0]); !ok || len(headers) > 1 {
		return failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated,
			"metadata `authorization` must be one `Bearer <JWT>`")
	}
	ctx, cancel := context.WithTimeout(ctx, accountTimeout)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, authorization, headers[0])
	response, err := s.Accounts.GetUser(ctx, &merchstorev1.GetUserRequest{})
	if err != nil {
		err = rpc.Failure(err)
		if f, ok := failure.As(err); ok && f.Kind == failure.NotFound {
			return failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated,
				"the account of the token does not exist").WithCause(err)
		}
		return err
	}
	if user := response.GetUser(); !user.GetActive() || user.GetRole() != merchstorev1.Role_ROLE_ADMIN {
		return failure.New(failure.Forbidden, failure.ReasonForbidden, "only admins may read the log")
	}
	return nil
}
