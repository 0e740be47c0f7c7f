package problem

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/tracing"
)

// clientClosedRequest is the status in logs and metrics of a request whose client disconnected.
const clientClosedRequest = 499

// Respond ends a request with the response for err. It logs what the client is not told.
func Respond(c *gin.Context, log *slog.Logger, err error) {
	ctx := c.Request.Context()
	c.Abort()
	r := For(err, rpc.RequestID(ctx))
	// net/http also cancels the context of a request whose body is too slow.
	if errors.Is(ctx.Err(), context.Canceled) && r.Status != http.StatusRequestTimeout {
		c.Status(clientClosedRequest)
		return
	}
	logCause(c, log, r, err)

	body, err := json.Marshal(r.Details)
	if err != nil { // cannot happen for strings and numbers
		log.ErrorContext(ctx, "encode problem", "request_id", r.RequestID, "error", err)
	}
	c.Header("Cache-Control", "no-store")
	c.Header("ETag", "") // removes it
	if r.RetryAfter != "" {
		c.Header("Retry-After", r.RetryAfter)
	}
	if r.Challenge != "" {
		c.Header("WWW-Authenticate", r.Challenge)
	}
	if r.Encoding != "" {
		c.Header("Accept-Encoding", r.Encoding)
	}
	c.Writer.Header().Set("Content-Type", ContentType) // c.Data keeps an earlier one
	c.Data(r.Status, ContentType, body)
}

func logCause(c *gin.Context, log *slog.Logger, r Response, err error) {
	level, message := slog.LevelError, "request failed"
	if !r.Internal {
		if f, ok := failure.As(err); !ok || f.Cause == nil {
			return
		}
		level, message = slog.LevelWarn, "request could not be served"
	}
	ctx := c.Request.Context()
	log.LogAttrs(ctx, level, message, slog.String("route", c.FullPath()),
		slog.String("request_id", rpc.RequestID(ctx)), tracing.LogAttr(ctx), slog.Any("error", err))
}
