package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/prometheus/client_golang/prometheus"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/services/api/openapi"
	"merchstore.io/merchstore/services/api/rest"
	"merchstore.io/merchstore/services/api/storefront"
)

// newTestRouter returns a router without services, for requests that need none.
func newTestRouter(t *testing.T, environ ...string) *gin.Engine {
	t.Helper()
	s, err := settings.Parse[Settings](append(environ, "JWT_KEYS=k:"+strings.Repeat("x", 32)))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.ParseKeys(string(s.JWTKeys))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	handler := rest.New(t.Context(), rest.Services{}, keys, discard{}, rest.Limits{}, log)
	router, err := newRouter(s, handler, new(atomic.Bool), log, prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

func TestOpenAPIDocumentHasExactlyTheRoutes(t *testing.T) {
	t.Parallel()
	var served []string
	for _, r := range newTestRouter(t).Routes() {
		// The document mentions HEAD once for all paths, and does not cover pages.
		if r.Method == http.MethodHead || strings.HasPrefix(r.Path, "/docs/") || isPage(t, r.Path) {
			continue
		}
		parts := strings.Split(r.Path, "/")
		for i, part := range parts {
			if name, isParam := strings.CutPrefix(part, ":"); isParam {
				parts[i] = "{" + name + "}"
			}
		}
		served = append(served, r.Method+" "+strings.Join(parts, "/"))
	}

	document, err := libopenapi.NewDocument(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for path, item := range model.Model.Paths.PathItems.FromOldest() {
		for method := range item.GetOperations().FromOldest() {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("- served, + documented:\n%s", diff)
	}
}

func isPage(t *testing.T, path string) bool {
	t.Helper()
	pages := gin.New()
	if err := storefront.Register(pages); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(pages.Routes(), func(r gin.RouteInfo) bool { return r.Path == path })
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	document, err := libopenapi.NewDocument(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if valid, found := v.ValidateDocument(); !valid {
		for _, e := range found {
			t.Errorf("%s: %s %v", e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
}

// discard is an action log that is not read.
type discard struct{}

func (discard) Info(context.Context, string)  {}
func (discard) Error(context.Context, string) {}

func TestResponsesWithoutServices(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, path string
		headers      map[string]string
		status       int
		contentType  string
		want         map[string]string // headers
		body         string            // part of it
	}{
		"the welcome": {
			"GET", "/api/v1", nil, 200, "application/json; charset=utf-8",
			map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"},
			`{"message":"Welcome`,
		},
		"the client's own request id": {
			"GET", "/api/v1",
			map[string]string{"X-Request-Id": "mine"},
			200, "application/json; charset=utf-8",
			map[string]string{"X-Request-Id": "mine"},
			"",
		},
		"an unknown path": {
			"GET", "/api/v2",
			map[string]string{"X-Request-Id": "mine"},
			404, "application/problem+json",
			map[string]string{"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"},
			`"code":"not_found","request_id":"mine"`,
		},
		"a trailing slash": {"GET", "/api/v1/products/", nil, 404, "application/problem+json", nil, `"code":"not_found"`},
		"an unsupported method": {
			"PUT", "/api/v1/products", nil, 405, "application/problem+json",
			map[string]string{"Allow": "GET, HEAD, POST"},
			`"code":"method_not_allowed"`,
		},
		"an account's method where there is none": {
			"PATCH", "/api/v1/users/create", nil, 405, "application/problem+json", map[string]string{"Allow": "POST"}, `"code":"method_not_allowed"`,
		},
		"no token": {
			"GET", "/api/v1/products/1", nil, 401, "application/problem+json",
			map[string]string{"WWW-Authenticate": `Bearer realm="merchstore"`},
			`"code":"unauthenticated"`,
		},
		"an invalid token": {
			"GET", "/api/v1/products/1",
			map[string]string{"Authorization": "Bearer x.y.z"},
			401, "application/problem+json",
			map[string]string{"WWW-Authenticate": `Bearer realm="merchstore", error="invalid_token"`},
			`"code":"invalid_token"`,
		},
		"an invalid token where none is needed": {
			"GET", "/api/items", map[string]string{"Authorization": "Bearer x.y.z"}, 401, "application/problem+json", nil, `"code":"invalid_token"`,
		},
		"a handler that panics": {
			"GET", "/api/items", nil, 500, "application/problem+json", nil, `"detail":"something went wrong on our side","code":"internal"`,
		},
		"a path that is not text":        {"GET", "/api/v1/users/%ff", nil, 400, "application/problem+json", nil, `"code":"malformed_url"`},
		"an empty sid":                   {"GET", "/api/v1/users//orders", nil, 401, "application/problem+json", nil, ""},
		"headers that are too large":     {"GET", "/api/v1", map[string]string{"X-A": strings.Repeat("a", 33_000)}, 431, "application/problem+json", nil, `"code":"headers_too_large"`},
		"a range beyond a file":          {"GET", "/assets/any/api.js", map[string]string{"Range": "bytes=9999999-"}, 416, "application/problem+json", map[string]string{"Etag": "", "Content-Encoding": ""}, `"code":"range_not_satisfiable"`},
		"the OpenAPI document":           {"GET", "/openapi.yaml", nil, 200, "application/yaml", nil, "openapi: 3.1.0"},
		"the docs page":                  {"GET", "/docs", nil, 200, "text/html; charset=utf-8", nil, "/docs/swagger-ui-bundle.js"},
		"the docs page's own script":     {"GET", "/docs/docs.js", nil, 200, "application/javascript", nil, "/openapi.yaml"},
		"the docs page's library":        {"GET", "/docs/swagger-ui-bundle.js", nil, 200, "application/javascript", nil, "SwaggerUIBundle"},
		"the docs page's styles":         {"GET", "/docs/swagger-ui.css", nil, 200, "text/css; charset=utf-8", nil, ".swagger-ui"},
		"the docs page's icon":           {"GET", "/docs/favicon-32x32.png", nil, 200, "image/png", nil, "PNG"},
		"no other file of the docs page": {"GET", "/docs/embed.go", nil, 404, "application/problem+json", nil, ""},
		"no CORS by default":             {"GET", "/api/v1", map[string]string{"Origin": "https://shop.example"}, 200, "application/json; charset=utf-8", map[string]string{"Access-Control-Allow-Origin": ""}, ""},
	}
	router := newTestRouter(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil)
			for k, v := range tt.headers {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			router.ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("Content-Type") != tt.contentType || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("got %d %s %.200s", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
			for k, v := range tt.want {
				if got := w.Header().Get(k); got != v {
					t.Errorf("%s: got %q, want %q", k, got, v)
				}
			}
			if w.Header().Get("X-Request-Id") == "" {
				t.Error("the response has no X-Request-Id")
			}
		})
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	router := newTestRouter(t, "CORS_ORIGINS=https://shop.example,https://other.example")
	ask := func(method, origin string) http.Header {
		r := httptest.NewRequestWithContext(t.Context(), method, "/api/v1/orders", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		return w.Header()
	}
	if got := ask(http.MethodOptions, "https://shop.example"); got.Get("Access-Control-Allow-Origin") != "https://shop.example" ||
		!strings.Contains(got.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
		t.Errorf("the preflight of an allowed origin has headers %v", got)
	}
	if got := ask(http.MethodGet, "https://shop.example"); !strings.Contains(got.Get("Access-Control-Expose-Headers"), "Location") {
		t.Errorf("the response to an allowed origin has headers %v", got)
	}
	if got := ask(http.MethodOptions, "https://evil.example"); got.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin is allowed: %v", got)
	}
}
