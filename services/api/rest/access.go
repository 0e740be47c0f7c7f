package rest

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/ratelimit"
)

const (
	authorizationMetadata = "authorization"

	guestTTL = 10 * time.Minute
	// guestRenew is how long before its end a guest's token is replaced.
	guestRenew = 5 * time.Minute

	// longestUsername bounds what is remembered for a rate limit; the DB service refuses longer names unseen.
	longestUsername = 256
)

// authenticate checks the caller's token, and passes it on to the DB service, which checks it again.
func (s *Store) authenticate(c *gin.Context) (*token.Claims, error) {
	signed, err := s.tokenOf(c.Request)
	if err != nil {
		return nil, err
	}
	claims, err := s.keys.Verify(signed)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, errExpired
	case err != nil: // why exactly is nothing to tell a forger
		return nil, errBadToken
	}
	forward(c, signed)
	return claims, nil
}

var (
	errNoToken = failure.New(failure.Unauthenticated, failure.ReasonUnauthenticated,
		"log in first, and send the token in the header Authorization: Bearer <token>")
	errExpired  = failure.New(failure.Unauthenticated, problem.CodeInvalidToken, "the token has expired; log in again")
	errBadToken = failure.New(failure.Unauthenticated, problem.CodeInvalidToken, "the token is not valid; log in again")
)

func forward(c *gin.Context, signed string) {
	ctx := metadata.AppendToOutgoingContext(c.Request.Context(), authorizationMetadata, "Bearer "+signed)
	c.Request = c.Request.WithContext(ctx)
}

// authenticateGuest lets a visitor without a token do what the DB service allows guests. A token that is sent must be
// good all the same.
func (s *Store) authenticateGuest(c *gin.Context) error {
	if c.Request.Header.Get("Authorization") != "" {
		_, err := s.authenticate(c)
		return err
	}
	signed, err := s.guest.token(time.Now())
	if err != nil {
		return err
	}
	forward(c, signed)
	return nil
}

// guestPass keeps one token for all visitors.
type guestPass struct {
	keys *token.Keys

	mu     sync.Mutex
	signed string
	until  time.Time
}

func (g *guestPass) token(now time.Time) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.until) {
		return g.signed, nil
	}
	signed, err := g.keys.SignGuest(guestTTL)
	if err != nil {
		return "", err //nolint:wrapcheck // says what it was doing
	}
	g.signed, g.until = signed, now.Add(guestTTL-guestRenew)
	return signed, nil
}

func limitAddress(c *gin.Context, l *ratelimit.Limit) error {
	if l == nil {
		return nil
	}
	return take(l, ratelimit.AddressKey(c.ClientIP()))
}

func limitAccount(username string, l *ratelimit.Limit) error {
	if len(username) > longestUsername {
		return nil
	}
	return take(l, strings.ToLower(username))
}

func take(l *ratelimit.Limit, key string) error {
	wait, ok := l.Take(key, time.Now())
	if ok {
		return nil
	}
	return &problem.Error{
		Failure:    failure.New(failure.Exhausted, failure.ReasonTooMany, "too many attempts; try again later"),
		RetryAfter: wait,
	}
}
