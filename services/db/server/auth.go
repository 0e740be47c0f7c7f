package server

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/shop"
)

var (
	errNoToken = failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated,
		"log in first, and send the token as `authorization: Bearer <token>`")
	errBadToken = failure.New(failure.Unauthenticated, "invalid_token", "the token is not valid, or no longer; log in again")
	errNoGuests = failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated, "this needs an account")
)

// public methods need no token.
var public = map[string]bool{
	merchstorev1.DBService_CreateUser_FullMethodName: true,
	merchstorev1.DBService_Login_FullMethodName:      true,
}

// forGuests are the methods open to visitors without an account.
var forGuests = map[string]bool{
	merchstorev1.DBService_ListItems_FullMethodName:  true,
	merchstorev1.DBService_GetPicture_FullMethodName: true,
}

// alongside are the methods that read something by its id and whose answer does not depend on who asks. What they read goes to
// the database together with the look-up of the account, and their answer is kept back until that has been seen.
var alongside = map[string]bool{
	merchstorev1.DBService_GetProduct_FullMethodName: true,
}

// checkedInside are the methods that look at the account themselves, in their own transaction.
var checkedInside = map[string]bool{
	merchstorev1.DBService_PlaceOrder_FullMethodName: true,
}

// Accounts is what authentication needs of the store.
type Accounts interface {
	// StartUser asks for an account; wait gives it, or nil if there is none.
	StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error))
}

// Authenticator finds out who is calling. That a token is well signed is not enough: its account must still be there
// and active, which is looked up for every call.
type Authenticator struct {
	keys     *token.Keys
	accounts Accounts
}

// NewAuthenticator makes an Authenticator.
func NewAuthenticator(keys *token.Keys, accounts Accounts) *Authenticator {
	return &Authenticator{keys: keys, accounts: accounts}
}

type actorKey struct{}

func actorOf(ctx context.Context) shop.Actor {
	actor, _ := ctx.Value(actorKey{}).(shop.Actor)
	return actor
}

// Unary guards every method of DBService.
func (a *Authenticator) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	isOurs := strings.HasPrefix(info.FullMethod, "/"+merchstorev1.DBService_ServiceDesc.ServiceName+"/")
	if !isOurs || public[info.FullMethod] {
		return handle(ctx, req)
	}
	claims, err := a.claims(ctx)
	switch {
	case err != nil:
		return nil, err
	case claims.Role == token.RoleGuest && forGuests[info.FullMethod]:
		return handle(ctx, req)
	case claims.Role == token.RoleGuest:
		return nil, errNoGuests
	case checkedInside[info.FullMethod]:
		return handle(context.WithValue(ctx, actorKey{}, shop.Actor{ID: claims.UserID(), SID: claims.SID}), req)
	}
	wait := a.accounts.StartUser(ctx, claims.UserID())
	if alongside[info.FullMethod] {
		resp, err := handle(ctx, req)
		if _, refused := actorFrom(claims, wait); refused != nil {
			return nil, refused
		}
		return resp, err
	}
	actor, err := actorFrom(claims, wait)
	if err != nil {
		return nil, err
	}
	return handle(context.WithValue(ctx, actorKey{}, actor), req)
}

// claims reads the caller's token.
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
		return nil, errBadToken.Because(err)
	}
	return claims, nil
}

// actorFrom waits for the account that a token names. What the actor may do is told by the account, not by the token.
func actorFrom(claims *token.Claims, wait func() (*shop.User, error)) (shop.Actor, error) {
	u, err := wait()
	if err != nil {
		return shop.Actor{}, err
	}
	return shop.ActorOf(u, claims.SID)
}
