package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/middleware"
	"merchstore.io/merchstore/services/api/request"
	"merchstore.io/merchstore/services/api/transfer"
)

// recorder is an ActionLog that records its lines.
type recorder struct{ lines []string }

func (r *recorder) Info(_ context.Context, text string)  { r.lines = append(r.lines, text) }
func (r *recorder) Error(_ context.Context, text string) { r.lines = append(r.lines, text) }

func newHandler(t *testing.T) (*Handler, *recorder) {
	t.Helper()
	keys, err := token.ParseKeys("k:" + strings.Repeat("x", 32))
	if err != nil {
		t.Fatal(err)
	}
	actions := new(recorder)
	return New(t.Context(), Services{}, keys, actions, Limits{}, slog.New(slog.DiscardHandler)), actions
}

// do sends a request to an endpoint, as the user "peter" if its route needs a token.
func do(t *testing.T, h *Handler, r route, body string) *httptest.ResponseRecorder {
	t.Helper()
	router := gin.New()
	memory := transfer.NewMemory(transfer.Settings{Memory: 1 << 20, MinRate: 1})
	router.Use(middleware.RequestContext(func(*gin.Context) middleware.Limit { return middleware.Limit{Time: time.Minute} }, memory))
	router.POST("/", h.serve(r))
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if r.access == authenticated {
		signed, err := h.keys.Sign(token.Account{ID: 1, SID: "12113053", Username: "peter", Role: token.RoleCustomer}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+signed)
	}
	w := httptest.NewRecorder()
	router.ServeHTTP(w, req)
	return w
}

func TestActionLog(t *testing.T) {
	t.Parallel()
	created := func(c *call) (any, error) {
		c.user = &merchstorev1.User{Sid: "s1", Username: "$sid"}
		return message{"done"}, nil
	}
	rejected := func(*call) (any, error) {
		return nil, failure.New(failure.NotFound, "user_not_found", "User not found")
	}
	readsBody := func(c *call) (any, error) {
		_, err := request.JSON[userChange](c.Request)
		return nil, err
	}
	tests := map[string]struct {
		route route
		body  string
		want  []string
	}{
		"logs the action and its success": {
			route{access: authenticated, endpoint: created, action: "'$caller' calls", success: "'$username' with $sid is created"},
			"",
			[]string{"'peter' calls", "'$sid' with s1 is created"},
		},
		"logs an error in place of success": {
			route{access: public, endpoint: rejected, action: "called", success: "done"},
			"",
			[]string{"called", "error: NOT_FOUND - User not found"},
		},
		"names the username that is asked for, and leaves the body to the endpoint": {
			route{access: authenticated, endpoint: readsBody, action: "'$requested' access", success: "read"},
			`{"username":"yoga"}`,
			[]string{"'yoga' access", "read"},
		},
		"names the caller where no username is asked for": {
			route{access: authenticated, endpoint: readsBody, action: "'$requested' access"},
			`{"email":"y@example.com"}`,
			[]string{"'peter' access"},
		},
		"names the caller where the body is invalid": {
			route{access: authenticated, endpoint: readsBody, action: "'$requested' access"},
			`{`,
			[]string{"'peter' access", "error: INVALID_ARGUMENT - the JSON of the body ends too early"},
		},
		"shortens a requested username": {
			route{access: authenticated, endpoint: readsBody, action: "'$requested' access"},
			`{"username":"` + strings.Repeat("y", 100) + `"}`,
			[]string{"'" + strings.Repeat("y", 64) + "…' access"},
		},
		"logs nothing where the route has no texts": {
			route{access: public, endpoint: created}, "", nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, actions := newHandler(t)
			tt.route.status = http.StatusOK
			do(t, h, tt.route, tt.body)
			if diff := cmp.Diff(tt.want, actions.lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestActionIsNotLoggedForUnauthenticatedCallers(t *testing.T) {
	t.Parallel()
	h, actions := newHandler(t)
	router := gin.New()
	h.Register(router)
	for _, r := range h.routes() {
		if r.access != authenticated {
			continue
		}
		actions.lines = nil
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), r.method, r.path, nil))
		want := []string{"error: UNAUTHENTICATED - " + errNoToken.Message}
		if diff := cmp.Diff(want, actions.lines); diff != "" || w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s: status %d, %s", r.method, r.path, w.Code, diff)
		}
	}
}

// logAction panics for an unknown variable.
func TestActionTextsHaveKnownVariables(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	for _, r := range h.routes() {
		c := &call{Context: &gin.Context{Request: httptest.NewRequestWithContext(t.Context(), r.method, "/", nil)}}
		if r.access == authenticated { // others cannot name a caller
			c.caller = new(token.Claims)
		}
		h.logAction(c, r.action)
		h.logAction(c, r.success)
	}
}

func TestGuestsCallTheDBServiceWithATokenOfTheirOwn(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	var claims *token.Claims
	do(t, h, route{status: http.StatusOK, access: guest, endpoint: func(c *call) (any, error) {
		md, _ := metadata.FromOutgoingContext(c.Request.Context())
		signed, _ := token.FromHeader(strings.Join(md["authorization"], ""))
		var err error
		claims, err = h.keys.Verify(signed)
		return nil, err
	}}, "")
	if claims == nil || claims.Role != token.RoleGuest {
		t.Errorf("the token has %+v", claims)
	}
}

func TestResponsesHaveAContentLength(t *testing.T) {
	t.Parallel()
	h, _ := newHandler(t)
	for _, size := range []int{1, 2000, 100_000} {
		endpoint := func(*call) (any, error) { return strings.Repeat("1", size), nil }
		w := do(t, h, route{status: http.StatusCreated, access: public, endpoint: endpoint}, "")
		if got := w.Header().Get("Content-Length"); got != fmt.Sprint(size+len(`""`)) || w.Code != http.StatusCreated {
			t.Errorf("status %d, Content-Length %q for %d bytes", w.Code, got, w.Body.Len())
		}
	}
}
