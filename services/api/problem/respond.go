package problem

import (
	"context"
	"errors"
	"log/slog"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/tracing"
)

// clientClosedRequest is what logs and metrics show for a client that did not wait for its answer; nobody receives it.
const clientClosedRequest = 499

// Respond ends a request with what its error means to the client, and logs, once, what the client is not told.
func Respond(c *gin.Context, log *slog.Logger, err error) {
	ctx := c.Request.Context()
	c.Abort()
	if errors.Is(ctx.Err(), context.Canceled) {
		c.Status(clientClosedRequest)
		return
	}
	a := For(err, rpc.RequestID(ctx))
	logHidden(ctx, log, c.FullPath(), a, err)

	body, err := json.Marshal(a.Details)
	if err != nil { // strings and numbers only: cannot happen
		log.ErrorContext(ctx, "problem can not be written", "request_id", a.RequestID, "error", err)
	}
	h := c.Writer.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	if a.RetryAfter != "" {
		h.Set("Retry-After", a.RetryAfter)
	}
	if a.Challenge != "" {
		h.Set("WWW-Authenticate", a.Challenge)
	}
	c.Data(a.Status, ContentType, body)
}

func logHidden(ctx context.Context, log *slog.Logger, route string, a Answer, err error) {
	switch f, _ := failure.As(err); {
	case a.Internal:
		log.ErrorContext(ctx, "request failed", "route", route, "request_id", rpc.RequestID(ctx), tracing.LogAttr(ctx), "error", err)
	case f != nil && f.Cause != nil:
		log.WarnContext(ctx, "request could not be served", "route", route, "request_id", rpc.RequestID(ctx), tracing.LogAttr(ctx), "error", err)
	}
}
