package main

import (
	"fmt"
	"log/slog"
	"net/http"
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
)

// newRouter puts together everything a request meets, from the outside in.
func newRouter(s Settings, store *rest.Store, leaving *atomic.Bool, log *slog.Logger, metrics prometheus.Registerer, traces *tracing.Tracing) (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.HandleMethodNotAllowed = true
	router.RedirectTrailingSlash = false
	if err := router.SetTrustedProxies(s.TrustedProxies); err != nil {
		return nil, fmt.Errorf("TRUSTED_PROXIES: %w", err)
	}

	router.Use(middleware.Begin(s.limits))
	if traces.On() {
		router.Use(middleware.Trace(traces))
	}
	router.Use(
		middleware.Observe(log, metrics),
		middleware.Recover(log),
		middleware.Farewell(leaving),
		middleware.Headers(),
	)
	if len(s.CORSOrigins) > 0 {
		router.Use(middleware.CORS(s.CORSOrigins))
	}
	router.Use(middleware.Bounds(s.limits, log))

	for _, r := range store.Routes() {
		handle(router, r.Method, r.Path, r.Handler)
	}
	for _, r := range openapi.Routes() {
		handle(router, http.MethodGet, r.Path, r.Handler)
	}
	pages, err := storefront.Routes()
	if err != nil {
		return nil, err
	}
	for _, r := range pages {
		handle(router, http.MethodGet, r.Path, r.Handler)
	}
	router.NoRoute(func(c *gin.Context) {
		problem.Respond(c, log, problem.New(http.StatusNotFound, failure.ReasonNotFound, "there is nothing at this path; see /docs"))
	})
	router.NoMethod(func(c *gin.Context) {
		problem.Respond(c, log, problem.New(http.StatusMethodNotAllowed, "method_not_allowed",
			"this path does not know the method; it knows "+c.Writer.Header().Get("Allow")))
	})
	return router, nil
}

// limits gives more to those who bring pictures, and no end to those who read the log.
func (s Settings) limits(c *gin.Context) middleware.Limit {
	switch {
	case rest.TakesPictures(c):
		return middleware.Limit{Body: s.UploadLimit, Time: s.UploadTimeout, Longer: true}
	case c.FullPath() == rest.LogsPath:
		return middleware.Limit{Body: s.BodyLimit, Endless: true}
	}
	return middleware.Limit{Body: s.BodyLimit, Time: s.RequestTimeout}
}

// handle answers HEAD wherever it answers GET, as HTTP asks for; net/http leaves the body out.
func handle(router *gin.Engine, method, path string, h gin.HandlerFunc) {
	router.Handle(method, path, h)
	if method == http.MethodGet {
		router.HEAD(path, h)
	}
}
