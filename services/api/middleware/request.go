// Package middleware holds the gin middleware that all requests pass through.
package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"merchstore.io/merchstore/internal/ratelimit"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/request"
	"merchstore.io/merchstore/services/api/transfer"
)

const (
	requestIDHeader = "X-Request-Id"
	maxRequestID    = 128
)

// Limit bounds a request.
type Limit struct {
	// Body is the maximum size of the body in bytes.
	Body int64
	// Time is how long the request may take, from its headers to the end of the response.
	Time time.Duration
	// Large means that the request or its response is large, and may take longer than the server's
	// own timeouts if the client makes progress.
	Large bool
	// Streaming means that the response has no time limit.
	Streaming bool
}

// Limits returns the limit of a request.
type Limits func(c *gin.Context) Limit

// RequestContext adds to the context the request id, which is the client's own if it sent one, the
// deadline, and the client whose transfers are bounded. Calls to other services carry the first two.
func RequestContext(limits Limits, memory *transfer.Memory) gin.HandlerFunc {
	return func(c *gin.Context) {
		id := c.GetHeader(requestIDHeader)
		if id == "" || len(id) > maxRequestID || !request.PrintableASCII(id) {
			id = uuid.Must(uuid.NewV7()).String()
		}
		c.Header(requestIDHeader, id)
		ctx := rpc.WithRequestID(c.Request.Context(), id)
		limit := limits(c)
		if !limit.Streaming {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit.Time)
			defer cancel()
		}
		address := func() string { return ratelimit.AddressKey(c.ClientIP()) }
		ctx, client := memory.NewClient(ctx, address, c.Writer)
		defer client.Release()
		if limit.Large {
			control, end := http.NewResponseController(c.Writer), time.Now().Add(limit.Time)
			// Where deadlines are not supported, the shorter ones of the server stay in place.
			_ = control.SetReadDeadline(end)
			_ = control.SetWriteDeadline(end.Add(time.Second))
		}
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// CloseOnShutdown closes each connection after its response once stopping is set. Closing only idle
// connections could cut off a request that is just arriving.
func CloseOnShutdown(stopping *atomic.Bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		if stopping.Load() {
			c.Header("Connection", "close")
		}
		c.Next()
	}
}

// Recover responds with an internal error when a handler panics.
func Recover(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler: // handled by net/http
				panic(p)
			default:
				problem.Respond(c, log, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		c.Next()
	}
}

// CheckURL rejects requests whose path or query is not text.
func CheckURL(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := request.CheckURL(c.Request.URL); err != nil {
			problem.Respond(c, log, err)
		}
	}
}

// LimitBody rejects requests whose body is too large.
func LimitBody(limits Limits, log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		limit := limits(c).Body
		if c.Request.ContentLength > limit {
			problem.Respond(c, log, request.TooLarge(limit))
			return
		}
		if c.Request.Body != nil && c.Request.Body != http.NoBody {
			c.Request.Body = transfer.FromContext(c.Request.Context()).Body(c.Request.Body, c.Writer, limit)
		}
	}
}
