package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/tracing"
	"merchstore.io/merchstore/services/api/middleware"
	"merchstore.io/merchstore/services/api/openapi"
	"merchstore.io/merchstore/services/api/problem"
	"merchstore.io/merchstore/services/api/rest"
	"merchstore.io/merchstore/services/api/storefront"
	"merchstore.io/merchstore/services/api/transfer"
)

// newRouter returns the router with all middleware, outermost first, and all routes. Requests are
// not measured if metrics is nil.
func newRouter(
	s Settings, handler *rest.Handler, stopping *atomic.Bool, log *slog.Logger,
	metrics prometheus.Registerer, traces *tracing.Tracing,
) (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.HandleMethodNotAllowed = true
	router.RedirectTrailingSlash = false
	if err := router.SetTrustedProxies(s.TrustedProxies); err != nil {
		return nil, fmt.Errorf("TRUSTED_PROXIES: %w", err)
	}

	router.Use(middleware.RequestContext(s.limits, transfer.NewMemory(s.Transfer)))
	if traces.On() {
		router.Use(middleware.Trace(traces))
	}
	if metrics != nil {
		router.Use(middleware.Metrics(metrics))
	}
	router.Use(
		middleware.Log(log),
		middleware.Recover(log),
		middleware.CloseOnShutdown(stopping),
		middleware.Headers(),
	)
	if len(s.CORSOrigins) > 0 {
		router.Use(middleware.CORS(s.CORSOrigins))
	}
	router.Use(onlyPost(log, "/api/v1/users/create", "/api/v1/users/login"))
	router.Use(middleware.LimitHeaders(log), middleware.CheckURL(log), middleware.LimitBody(s.limits, log))

	handler.Register(router)
	openapi.Register(router)
	if err := storefront.Register(router); err != nil {
		return nil, err
	}
	router.NoRoute(func(c *gin.Context) {
		problem.Respond(c, log, problem.New(http.StatusNotFound, failure.ReasonNotFound,
			"there is nothing at this path; see /docs"))
	})
	router.NoMethod(func(c *gin.Context) { rejectMethod(c, log) })
	return router, nil
}

// onlyPost rejects other methods on paths that would otherwise be those of accounts.
func onlyPost(log *slog.Logger, paths ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.Method != http.MethodPost && slices.Contains(paths, c.Request.URL.Path) {
			c.Header("Allow", http.MethodPost)
			rejectMethod(c, log)
		}
	}
}

func rejectMethod(c *gin.Context, log *slog.Logger) {
	problem.Respond(c, log, problem.New(http.StatusMethodNotAllowed, "method_not_allowed",
		"this path does not support the method; it supports "+c.Writer.Header().Get("Allow")))
}

// limits returns the limits of a request: larger for pictures and lists without pages, and without
// an end for the live log.
func (s Settings) limits(c *gin.Context) middleware.Limit {
	switch {
	case rest.IsUpload(c):
		return middleware.Limit{Body: s.UploadLimit, Time: s.UploadTimeout, Large: true}
	case rest.IsDownload(c):
		return middleware.Limit{Body: s.BodyLimit, Time: s.UploadTimeout, Large: true}
	case rest.IsProduct(c):
		return middleware.Limit{Body: s.ProductBodyLimit, Time: s.RequestTimeout}
	case c.FullPath() == rest.LogsPath:
		return middleware.Limit{Body: s.BodyLimit, Streaming: true}
	}
	return middleware.Limit{Body: s.BodyLimit, Time: s.RequestTimeout}
}
