package middleware

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/services/api/problem"
)

// Headers sets security headers and disables caching. Handlers may override them.
func Headers() gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("X-Content-Type-Options", "nosniff")
		c.Header("X-Frame-Options", "DENY")
		c.Header("Referrer-Policy", "no-referrer")
		c.Header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		c.Header("Cache-Control", "no-store")
	}
}

// MaxHeaderBytes is the maximum size of the request line and the headers.
const MaxHeaderBytes = 32 << 10

// LimitHeaders rejects requests whose request line and headers are too large.
func LimitHeaders(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		size := len(c.Request.RequestURI)
		for name, values := range c.Request.Header {
			for _, value := range values {
				size += len(name) + len(value)
			}
		}
		if size > MaxHeaderBytes {
			problem.Respond(c, log, problem.New(http.StatusRequestHeaderFieldsTooLarge, "headers_too_large",
				"the headers and the path must not be larger than "+strconv.Itoa(MaxHeaderBytes)+" bytes"))
		}
	}
}

const (
	allowedHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id"
	exposedHeaders = "ETag, Idempotent-Replayed, Location, Retry-After, WWW-Authenticate, X-Request-Id"
	allowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	preflightAge   = "600" // seconds
)

// CORS allows scripts of the given origins to use the API; "*" is any origin. Credentials are never
// allowed, as the API's clients send tokens and not cookies.
func CORS(origins []string) gin.HandlerFunc {
	anyOrigin := slices.Contains(origins, "*")
	return func(c *gin.Context) {
		c.Writer.Header().Add("Vary", "Origin")
		origin := c.GetHeader("Origin")
		isOrigin := func(allowed string) bool { return strings.EqualFold(allowed, origin) }
		if origin == "" || !anyOrigin && !slices.ContainsFunc(origins, isOrigin) {
			return
		}
		c.Header("Access-Control-Allow-Origin", origin)
		c.Header("Access-Control-Expose-Headers", exposedHeaders)
		if c.Request.Method != http.MethodOptions || c.GetHeader("Access-Control-Request-Method") == "" {
			return
		}
		c.Header("Access-Control-Allow-Methods", allowedMethods)
		c.Header("Access-Control-Allow-Headers", allowedHeaders)
		c.Header("Access-Control-Max-Age", preflightAge)
		c.AbortWithStatus(http.StatusNoContent)
	}
}
