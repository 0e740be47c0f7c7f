package rest

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/text/unicode/norm"
	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/ratelimit"
	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/transfer"
)

const (
	guestTokenTTL  = 10 * time.Minute
	clientTokenTTL = time.Minute
	// maxLimitedUsername bounds the memory of a rate limit; the DB service rejects longer
	// usernames.
	maxLimitedUsername = 256
)

var (
	errNoToken = failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated,
		"log in first, and send the token in the header Authorization: Bearer <token>")
	errExpired  = failure.New(failure.Unauthenticated, problem.CodeInvalidToken, "the token has expired; log in again")
	errBadToken = failure.New(failure.Unauthenticated, problem.CodeInvalidToken, "the token is not valid; log in again")
)

func (h *Handler) authorize(required access, c *call) error {
	switch {
	case required == public:
		return nil
	case required == guest && c.GetHeader("Authorization") == "":
		signed, err := h.keys.SignGuest(guestTokenTTL)
		if err == nil {
			forwardToken(c, signed)
		}
		return err
	default:
		return h.authenticate(c)
	}
}

// authenticate verifies the caller's token, and forwards it to the DB service, which verifies it
// again.
func (h *Handler) authenticate(c *call) error {
	signed, err := h.requestToken(c.Request)
	if err != nil {
		return err
	}
	c.caller, err = h.keys.Verify(signed)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return errExpired
	case err != nil: // the exact reason would only help a forger
		return errBadToken
	}
	transfer.FromContext(c.Request.Context()).SetAccount(c.caller.SID)
	forwardToken(c, signed)
	return nil
}

// forwardAddress sends the client's address to the DB service, signed, for calls that check a
// password.
func (h *Handler) forwardAddress(c *call) error {
	signed, err := h.keys.SignClient(c.ClientIP(), clientTokenTTL)
	if err != nil {
		return err
	}
	c.Request = c.Request.WithContext(
		metadata.AppendToOutgoingContext(c.Request.Context(), token.ClientHeader, signed))
	return nil
}

// limitPasswords counts an attempt at the password of an account.
func (h *Handler) limitPasswords(c *call, username string) error {
	if err := h.forwardAddress(c); err != nil {
		return err
	}
	// As the DB service looks it up, which ignores spaces around it.
	account := strings.ToLower(norm.NFC.String(strings.TrimSpace(username)))
	if len(account) > maxLimitedUsername {
		return nil
	}
	return takeAttempt(h.limits.LoginPerAccount, account+"\x00"+ratelimit.AddressKey(c.ClientIP()))
}

func forwardToken(c *call, signed string) {
	c.Request = c.Request.WithContext(
		metadata.AppendToOutgoingContext(c.Request.Context(), "authorization", "Bearer "+signed))
}

// requestToken returns the token in a request's Authorization header or, from the store's own
// pages, in its session cookie.
func (h *Handler) requestToken(r *http.Request) (string, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		signed, found := token.FromHeader(header)
		if !found {
			return "", errNoToken
		}
		return signed, nil
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || cookie.Value == "" {
		return "", errNoToken
	}
	return cookie.Value, h.checkSameSite(r)
}

func limitAddress(c *call, l *ratelimit.Limit) error {
	return takeAttempt(l, ratelimit.AddressKey(c.ClientIP()))
}

func takeAttempt(l *ratelimit.Limit, key string) error {
	wait, ok := l.Take(key, time.Now())
	if ok {
		return nil
	}
	return failure.New(failure.Exhausted, failure.ReasonTooMany,
		"too many attempts; try again later").WithRetryAfter(wait)
}
