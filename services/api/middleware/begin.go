// Package middleware is what every request of the REST service passes, whatever it asks for.
package middleware

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/request"
)

const (
	requestIDHeader = "X-Request-Id"
	maxRequestID    = 128
)

// Limit bounds a request.
type Limit struct {
	// Body is the greatest body in bytes.
	Body int64
	// Time is for the request to arrive and be answered.
	Time time.Duration
	// Longer means that Time is more than the server allows others. Endless, that it is for the client to say when it has enough.
	Longer, Endless bool
}

// Limits say what bounds a request, by its route and headers.
type Limits func(c *gin.Context) Limit

// Begin gives a request its id, the client's own if it sent one, and the time within which it must be answered. Both
// are on the context, so that calls to other services carry them.
func Begin(limits Limits) gin.HandlerFunc {
	return func(c *gin.Context) {
		id := c.Request.Header.Get(requestIDHeader)
		if id == "" || len(id) > maxRequestID || !request.PrintableASCII(id) {
			id = uuid.Must(uuid.NewV7()).String()
		}
		c.Writer.Header()[requestIDHeader] = []string{id}
		ctx := rpc.WithRequestID(c.Request.Context(), id)
		limit := limits(c)
		if !limit.Endless {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit.Time)
			defer cancel()
		}
		if limit.Longer {
			control, end := http.NewResponseController(c.Writer), time.Now().Add(limit.Time)
			_ = control.SetReadDeadline(end)                   // a server that can not would end it earlier,
			_ = control.SetWriteDeadline(end.Add(time.Second)) // which the client is told
		}
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// Farewell closes connections with their next answer once leaving is set. A connection that is closed while it is idle
// may be closed on a request that is just coming in; one that is told of it is not used again.
func Farewell(leaving *atomic.Bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		if leaving.Load() {
			c.Header("Connection", "close")
		}
		c.Next()
	}
}

// Recover answers a request whose handler has panicked.
func Recover(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			switch panicked := recover(); panicked {
			case nil:
			case http.ErrAbortHandler: // a sign for net/http, never wrapped
				panic(panicked)
			default:
				problem.Respond(c, log, &panicError{value: panicked, stack: debug.Stack()})
			}
		}()
		c.Next()
	}
}
