// Package rest translates between HTTP and the DB service. It holds no business rules: who may do
// what, and which values are valid, is decided by the DB service.
package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"merchstore.io/merchstore/internal/ratelimit"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/request"
	"merchstore.io/merchstore/services/api/transfer"
)

// ActionLog writes the store's action log. It never blocks a request.
type ActionLog interface {
	Info(ctx context.Context, text string)
	Error(ctx context.Context, text string)
}

// Limits are the rate limits of logins and signups. A nil limit allows everything.
type Limits struct {
	LoginPerAccount  *ratelimit.Limit
	LoginPerAddress  *ratelimit.Limit
	SignupPerAddress *ratelimit.Limit
}

// Services are the services that the endpoints call.
type Services struct {
	DB      merchstorev1.DBServiceClient
	Logging merchstorev1.LoggingServiceClient
}

// Handler serves the endpoints of version 1 and of the legacy API.
type Handler struct {
	db        merchstorev1.DBServiceClient
	logs      merchstorev1.LoggingServiceClient
	keys      *token.Keys
	actions   ActionLog
	limits    Limits
	lists     lists
	crossSite *http.CrossOriginProtection
	shutdown  context.Context // ends streaming responses
	log       *slog.Logger
}

// New returns a Handler. Streaming responses end when shutdown is done.
func New(
	shutdown context.Context, services Services, keys *token.Keys, actions ActionLog, limits Limits,
	log *slog.Logger,
) *Handler {
	return &Handler{
		db: services.DB, logs: services.Logging, keys: keys,
		actions: actions, limits: limits, lists: newLists(), log: log, shutdown: shutdown,
		crossSite: http.NewCrossOriginProtection(),
	}
}

// call is one request to an endpoint.
type call struct {
	*gin.Context

	// caller is nil where no token is needed.
	caller *token.Claims
	// user is the account that the action created, logged in or updated, for the action log.
	user *merchstorev1.User
	// encoded is called once the response is encoded. It may be nil.
	encoded func()
}

// serve returns the gin handler of a route. It authenticates the caller, writes the action log, and
// sends the response.
func (h *Handler) serve(r route) gin.HandlerFunc {
	return func(gc *gin.Context) {
		c := &call{Context: gc}
		c.Status(r.status)
		encoded, err := h.encode(r, c)
		switch {
		case err != nil:
			h.fail(c, err)
		case encoded != nil:
			h.send(c, r.status, encoded)
		}
	}
}

const (
	jsonType = "application/json; charset=utf-8"
	// largeResponse is the size in bytes from which a response counts while it is sent. Smaller ones
	// fit into the buffers of the connection.
	largeResponse = 32 << 10
)

// send sends a response in JSON.
func (h *Handler) send(c *call, status int, encoded []byte) {
	if len(encoded) < largeResponse {
		c.Data(status, jsonType, encoded)
		return
	}
	client := transfer.FromContext(c.Request.Context())
	if err := client.Hold(len(encoded)); err != nil {
		h.fail(c, err)
		return
	}
	c.Writer.Header().Set("Content-Type", jsonType)
	c.Header("Content-Length", strconv.Itoa(len(encoded)))
	c.Status(status)
	_, _ = client.Writer(c.Writer).Write(encoded) // the client is gone
}

// encode runs the endpoint and encodes what it returns.
func (h *Handler) encode(r route, c *call) ([]byte, error) {
	defer func() {
		if c.encoded != nil {
			c.encoded()
		}
	}()
	body, err := h.run(r, c)
	if err != nil || body == nil {
		return nil, err
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return encoded, nil
}

func (h *Handler) run(r route, c *call) (body any, err error) {
	if err := h.authorize(r.access, c); err != nil {
		return nil, err
	}
	h.logAction(c, r.action)
	if body, err = r.endpoint(c); err != nil {
		return nil, err
	}
	h.logAction(c, r.success)
	return body, nil
}

// logAction logs the text of an action. It expands $caller, $username and $sid (those of the user
// that the action was about), and $requested (the username asked for in the body, or the caller's).
func (h *Handler) logAction(c *call, text string) {
	if text == "" {
		return
	}
	h.actions.Info(c.Request.Context(), os.Expand(text, func(name string) string {
		switch name {
		case "caller":
			return c.caller.Username
		case "username":
			return c.user.GetUsername()
		case "sid":
			return c.user.GetSid()
		case "requested":
			// An invalid body is reported by the endpoint, which reads it again.
			if body, _ := request.JSON[userChange](c.Request); body.Username != nil {
				return request.Clip(*body.Username)
			}
			return c.caller.Username
		default:
			panic("unknown variable in action text: " + name)
		}
	}))
}

func (h *Handler) fail(c *call, err error) {
	err = rpc.Failure(err)
	f := problem.Failure(err)
	h.actions.Error(c.Request.Context(), "error: "+rpc.CodeName(f.Kind)+" - "+f.Message)
	if f.RequestID != "" {
		c.Header(replayedHeader, "true")
	}
	problem.Respond(c.Context, h.log, err)
}

// message is the body of responses that only confirm.
type message struct {
	Message string `json:"message"`
}
