package rest

import (
	"net/http"
	"strings"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpc"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// sessionCookie holds a token for the store's own pages, out of reach of scripts. Browsers send it
// with requests of any site, so a request that changes something must come from those pages.
const sessionCookie = "session"

var errCrossSite = failure.New(failure.Forbidden, "cross_site_request",
	"the request came from another site; use the store's own pages, "+
		"or send a token in the header Authorization")

// session is the user that is logged in on the store's own pages.
type session struct {
	User *user `json:"user"`
}

func (h *Handler) startSession(c *call) (any, error) {
	if err := h.checkSameSite(c.Request); err != nil {
		return nil, err
	}
	resp, err := h.logIn(c)
	if err != nil {
		return nil, err
	}
	setSession(c, resp.GetToken(), int(resp.GetExpiresIn()))
	u := userBody(resp.GetUser())
	return session{&u}, nil
}

// getSession returns the user of a session, if there is one. It deletes the cookie of a session
// that has ended.
func (h *Handler) getSession(c *call) (any, error) {
	if len(c.Request.CookiesNamed(sessionCookie)) == 0 {
		return session{}, nil
	}
	err := h.authenticate(c)
	if err == nil {
		var resp *merchstorev1.GetUserResponse
		if resp, err = h.db.GetUser(c.Request.Context(), &merchstorev1.GetUserRequest{}); err == nil {
			u := userBody(resp.GetUser())
			return session{&u}, nil
		}
	}
	if !isUnauthenticated(err) {
		return nil, err
	}
	setSession(c, "", -1)
	return session{}, nil
}

// endSession ends the token of a session and deletes its cookie. If the token cannot be ended, the
// client keeps the cookie and can try again.
func (h *Handler) endSession(c *call) (any, error) {
	if err := h.checkSameSite(c.Request); err != nil {
		return nil, err
	}
	if len(c.Request.CookiesNamed(sessionCookie)) > 0 {
		err := h.authenticate(c)
		if err == nil {
			_, err = h.db.EndSession(c.Request.Context(), new(merchstorev1.EndSessionRequest))
		}
		if err != nil && !isUnauthenticated(err) {
			return nil, err
		}
	}
	setSession(c, "", -1)
	return nil, nil
}

// isUnauthenticated reports whether err means that the token is not accepted.
func isUnauthenticated(err error) bool {
	f, ok := failure.As(rpc.Failure(err))
	return ok && f.Kind == failure.Unauthenticated
}

func (h *Handler) checkSameSite(r *http.Request) error {
	if h.crossSite.Check(r) != nil {
		return errCrossSite
	}
	return nil
}

// setSession sets the session cookie for maxAge seconds; a negative maxAge deletes it.
func setSession(c *call, signed string, maxAge int) {
	http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // Secure is set for HTTPS
		Name: sessionCookie, Value: signed, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// A client that forges X-Forwarded-Proto only loses its own cookie.
		Secure: c.Request.TLS != nil || strings.EqualFold(c.GetHeader("X-Forwarded-Proto"), "https"),
	})
}
