package middleware

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/request"
)

// Headers keeps browsers from doing anything with an answer but reading it. A handler may override them.
func Headers() gin.HandlerFunc {
	// Shared by all answers: net/http only reads them, and Set puts a new list in their place.
	var (
		nosniff    = []string{"nosniff"}
		deny       = []string{"DENY"}
		noReferrer = []string{"no-referrer"}
		policy     = []string{"default-src 'none'; frame-ancestors 'none'"}
		noStore    = []string{"no-store"}
	)
	return func(c *gin.Context) {
		h := c.Writer.Header()
		h["X-Content-Type-Options"] = nosniff
		h["X-Frame-Options"] = deny
		h["Referrer-Policy"] = noReferrer
		h["Content-Security-Policy"] = policy
		h["Cache-Control"] = noStore
		c.Next()
	}
}

// Bounds refuses requests whose address is not text or whose body is larger than it may be.
func Bounds(limits Limits, log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		limit := limits(c).Body
		err := request.CheckURL(c.Request.URL)
		if err == nil && c.Request.ContentLength > limit {
			err = request.TooLarge(limit)
		}
		if err != nil {
			problem.Respond(c, log, err)
			return
		}
		if c.Request.Body != nil && c.Request.Body != http.NoBody {
			c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, limit)
		}
		c.Next()
	}
}

const (
	allowedHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id"
	exposedHeaders = "ETag, Idempotent-Replayed, Location, Retry-After, WWW-Authenticate, X-Request-Id"
	allowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	preflightAge   = "600" // seconds
)

// CORS lets scripts of other origins use the API; "*" stands for every origin. Cookies are not used, so credentials
// are never allowed.
func CORS(origins []string) gin.HandlerFunc {
	everyone := slices.Contains(origins, "*")
	return func(c *gin.Context) {
		h := c.Writer.Header()
		h.Add("Vary", "Origin")
		origin := c.Request.Header.Get("Origin")
		if origin == "" || !(everyone || slices.ContainsFunc(origins, func(o string) bool { return strings.EqualFold(o, origin) })) {
			c.Next()
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
		if c.Request.Method != http.MethodOptions || c.Request.Header.Get("Access-Control-Request-Method") == "" {
			c.Next()
			return
		}
		h.Set("Access-Control-Allow-Methods", allowedMethods)
		h.Set("Access-Control-Allow-Headers", allowedHeaders)
		h.Set("Access-Control-Max-Age", preflightAge)
		c.AbortWithStatus(http.StatusNoContent)
	}
}
