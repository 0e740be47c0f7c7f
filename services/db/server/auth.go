package server

import (
	"context"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/shop"
)

var (
	errNoToken = failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated,
		"log in first, and send the token as `authorization: Bearer <token>`")
	errBadToken  = failure.New(failure.Unauthenticated, "invalid_token", "the token is not valid, or no longer; log in again")
	errNoAccount = failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated, "this needs an account")
)

// publicMethods need no token.
var publicMethods = map[string]bool{
	merchstorev1.DBService_CreateUser_FullMethodName: true,
	merchstorev1.DBService_Login_FullMethodName:      true,
}

// guestMethods accept the token of a guest, who has no account.
var guestMethods = map[string]bool{
	merchstorev1.DBService_ListItems_FullMethodName:  true,
	merchstorev1.DBService_GetPicture_FullMethodName: true,
}

// overlappedMethods read by id, and their response does not depend on the caller. They run while
// the caller's account is being read, so that both reads share a batch. Their response is held back
// until the account is checked.
var overlappedMethods = map[string]bool{
	merchstorev1.DBService_GetProduct_FullMethodName: true,
}

// selfCheckedMethods check the account in their own transaction.
var selfCheckedMethods = map[string]bool{
	merchstorev1.DBService_PlaceOrder_FullMethodName: true,
}

// Accounts reads accounts for authentication.
type Accounts interface {
	// StartUser starts reading an account. wait returns the account, or nil if there is none.
	StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error))
}

// Authenticator identifies the caller. A valid signature is not enough: for every call it checks
// that the account exists, is active, and has not ended the session.
type Authenticator struct {
	keys     *token.Keys
	accounts Accounts
}

// NewAuthenticator returns an Authenticator.
func NewAuthenticator(keys *token.Keys, accounts Accounts) *Authenticator {
	return &Authenticator{keys: keys, accounts: accounts}
}

type actorKey struct{}

// actorFromContext returns the caller, or the zero Actor for a guest.
func actorFromContext(ctx context.Context) shop.Actor {
	actor, _ := ctx.Value(actorKey{}).(shop.Actor)
	return actor
}

// Unary is an interceptor that authenticates calls of DBService. Other services are open.
func (a *Authenticator) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if !guarded(info.FullMethod) || publicMethods[info.FullMethod] {
		return handle(a.withAddress(ctx), req)
	}
	claims, err := a.claims(ctx)
	switch {
	case err != nil:
		return nil, err
	case claims.Role == token.RoleGuest && guestMethods[info.FullMethod]:
		return handle(ctx, req)
	case claims.Role == token.RoleGuest:
		return nil, errNoAccount
	case selfCheckedMethods[info.FullMethod]:
		return handle(context.WithValue(ctx, actorKey{}, shop.Actor{ID: claims.UserID(), SID: claims.SID, Token: tokenOf(claims)}), req)
	}
	wait := a.accounts.StartUser(ctx, claims.UserID())
	if overlappedMethods[info.FullMethod] {
		resp, err := handle(ctx, req)
		if _, authErr := awaitActor(claims, wait); authErr != nil {
			return nil, authErr
		}
		return resp, err
	}
	actor, err := awaitActor(claims, wait)
	if err != nil {
		return nil, err
	}
	if info.FullMethod == merchstorev1.DBService_UpdateUser_FullMethodName {
		ctx = a.withAddress(ctx)
	}
	return handle(context.WithValue(ctx, actorKey{}, actor), req)
}

// Stream is an interceptor that authenticates streams of DBService, which need an account.
func (a *Authenticator) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if !guarded(info.FullMethod) {
		return handle(srv, stream)
	}
	claims, err := a.claims(stream.Context())
	switch {
	case err != nil:
		return err
	case claims.Role == token.RoleGuest:
		return errNoAccount
	}
	actor, err := awaitActor(claims, a.accounts.StartUser(stream.Context(), claims.UserID()))
	if err != nil {
		return err
	}
	return handle(srv, &actorStream{stream, context.WithValue(stream.Context(), actorKey{}, actor)})
}

// actorStream is a stream whose context has the caller.
type actorStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // as grpc.ServerStream returns it
}

// Context implements grpc.ServerStream.
func (s *actorStream) Context() context.Context { return s.ctx }

func guarded(method string) bool {
	return strings.HasPrefix(method, "/"+merchstorev1.DBService_ServiceDesc.ServiceName+"/")
}

// claims verifies the caller's token.
func (a *Authenticator) claims(ctx context.Context) (*token.Claims, error) {
	header := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(header) != 1 {
		return nil, errNoToken
	}
	signed, ok := token.FromHeader(header[0])
	if !ok {
		return nil, errNoToken
	}
	claims, err := a.keys.Verify(signed)
	if err != nil {
		return nil, errBadToken.WithCause(err)
	}
	return claims, nil
}

// awaitActor waits for the account that a token names. The account, not the token, determines what
// the actor may do.
func awaitActor(claims *token.Claims, wait func() (*shop.User, error)) (shop.Actor, error) {
	u, err := wait()
	if err != nil {
		return shop.Actor{}, err
	}
	return shop.ActorOf(u, tokenOf(claims))
}

func tokenOf(c *token.Claims) shop.Token {
	return shop.Token{SID: c.SID, ID: c.TokenID(), Epoch: c.Epoch, Expires: c.ExpiresAt.Time}
}

type addressKey struct{}

// withAddress adds the network address of the client to the context: what the API says in a token
// that it has signed, or that of the caller.
func (a *Authenticator) withAddress(ctx context.Context) context.Context {
	if header := metadata.ValueFromIncomingContext(ctx, token.ClientHeader); len(header) == 1 {
		if claims, err := a.keys.Verify(header[0]); err == nil && claims.Address != "" {
			return context.WithValue(ctx, addressKey{}, claims.Address)
		}
	}
	if p, ok := peer.FromContext(ctx); ok {
		if host, _, err := net.SplitHostPort(p.Addr.String()); err == nil {
			return context.WithValue(ctx, addressKey{}, host)
		}
	}
	return ctx
}

func addressFromContext(ctx context.Context) string {
	address, _ := ctx.Value(addressKey{}).(string)
	return address
}
