package server

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/batch"
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
	merchstorev1.DBService_ListItems_FullMethodName: true,
}

// Accounts is what authentication needs of the store.
type Accounts interface {
	UsersByID(ctx context.Context, ids []int32) ([]shop.User, error)
}

// Authenticator finds out who is calling. That a token is well signed is not enough: its account must still be there
// and active, which is looked up for every call, together for calls that come together.
type Authenticator struct {
	keys    *token.Keys
	lookups *batch.Group[int32, *shop.User]
}

const (
	maxLookups    = 500
	lookupTimeout = 5 * time.Second
)

// NewAuthenticator makes an Authenticator.
func NewAuthenticator(keys *token.Keys, accounts Accounts) *Authenticator {
	return &Authenticator{keys: keys, lookups: batch.NewLookup(maxLookups, lookupTimeout, accounts.UsersByID,
		func(u shop.User) int32 { return u.ID })}
}

// Close waits for lookups under way.
func (a *Authenticator) Close() { a.lookups.Close() }

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
	actor, err := a.authenticate(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handle(context.WithValue(ctx, actorKey{}, actor), req)
}

func (a *Authenticator) authenticate(ctx context.Context, method string) (shop.Actor, error) {
	header := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(header) != 1 {
		return shop.Actor{}, errNoToken
	}
	signed, ok := token.FromHeader(header[0])
	if !ok {
		return shop.Actor{}, errNoToken
	}
	claims, err := a.keys.Verify(signed)
	if err != nil {
		return shop.Actor{}, errBadToken.Because(err)
	}
	if claims.Role == token.RoleGuest {
		if !forGuests[method] {
			return shop.Actor{}, errNoGuests
		}
		return shop.Actor{}, nil
	}
	u, err := a.lookups.Do(ctx, claims.UserID())
	switch {
	case err != nil:
		return shop.Actor{}, err
	case u == nil || u.SID != claims.SID: // a token of another store that has the same key
		return shop.Actor{}, shop.ErrNoSuchAccount
	case !u.Active:
		return shop.Actor{}, shop.ErrDeactivated
	}
	return shop.Actor{ID: u.ID, SID: u.SID, Username: u.Username, Admin: u.Admin}, nil
}
