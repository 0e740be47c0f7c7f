package server

import (
	"context"
	"time"

	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

const (
	authorization  = "authorization"
	accountTimeout = 5 * time.Second
)

// requireAdmin returns an error unless the caller is an active admin. This service has no keys to
// verify tokens, so it asks the DB service, which also knows deactivated accounts. If that call
// fails, access is denied.
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
