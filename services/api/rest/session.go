package rest

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// sessionCookie holds a token for the store's own pages, where no script can read it. Browsers send it along unasked, which is why a
// request that changes something and brings it must come from those pages.
const sessionCookie = "session"

var errCrossSite = failure.New(failure.Forbidden, "cross_site_request",
	"this was asked for by another site; open the store's own page, or send a token in the header Authorization")

// session is who is logged in on the store's own pages.
type session struct {
	User *user `json:"user"`
}

// startSession logs in.
func (s *Store) startSession(c *gin.Context) error {
	if s.crossSite.Check(c.Request) != nil {
		return errCrossSite
	}
	resp, err := s.logIn(c)
	if err != nil {
		return err
	}
	setSession(c, resp.GetToken(), int(resp.GetExpiresIn()))
	u := userBody(resp.GetUser())
	return ok(c, session{User: &u})
}

// getSession is asked by every page, so that it has no failure for visitors.
func (s *Store) getSession(c *gin.Context) error {
	if _, err := c.Request.Cookie(sessionCookie); err != nil {
		return ok(c, session{})
	}
	var found *merchstorev1.User
	_, err := s.authenticate(c)
	if err == nil {
		var resp *merchstorev1.GetUserResponse
		resp, err = s.db.GetUser(c.Request.Context(), &merchstorev1.GetUserRequest{})
		found = resp.GetUser()
	}
	if err != nil {
		return s.noSession(c, err)
	}
	u := userBody(found)
	return ok(c, session{User: &u})
}

// noSession ends a session that is none any more.
func (s *Store) noSession(c *gin.Context, err error) error {
	if f, known := failure.As(rpc.Failure(err)); !known || f.Kind != failure.Unauthenticated {
		return err
	}
	setSession(c, "", -1)
	return ok(c, session{})
}

func (s *Store) endSession(c *gin.Context) error {
	if s.crossSite.Check(c.Request) != nil {
		return errCrossSite
	}
	setSession(c, "", -1)
	c.Status(http.StatusNoContent)
	return nil
}

// setSession sets the cookie for so many seconds, or deletes it.
func setSession(c *gin.Context, signed string, seconds int) {
	http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // secure wherever a browser would keep it
		Name: sessionCookie, Value: signed, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// A client that claims to have come by TLS can only keep its own cookie from itself.
		Secure: c.Request.TLS != nil || strings.EqualFold(c.Request.Header.Get("X-Forwarded-Proto"), "https"),
	})
}

// tokenOf finds the token a request comes with: in its header, or, from the store's own pages, in its cookie.
func (s *Store) tokenOf(r *http.Request) (string, error) {
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
	if s.crossSite.Check(r) != nil {
		return "", errCrossSite
	}
	return cookie.Value, nil
}
