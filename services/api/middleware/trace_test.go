package middleware_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"merchstore.io/merchstore/internal/tracing"
	"merchstore.io/merchstore/services/api/middleware"
	"merchstore.io/merchstore/services/api/transfer"
	"merchstore.io/merchstore/test/otlp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSpansHaveNoClientInput(t *testing.T) {
	t.Parallel()
	const theirs = "0af7651916cd43dd8448eb211c80319c"
	gin.SetMode(gin.ReleaseMode)
	for name, test := range map[string]struct {
		method, path, traceparent string
		name                      string
		attributes                map[string]string
		links                     []string
		failed                    bool
	}{
		"a request": {
			"GET", "/users/12113053?token=x", "", "GET /users/:sid",
			map[string]string{"http.request.method": "GET", "http.route": "/users/:sid", "http.response.status_code": "200"},
			nil, false,
		},
		"a server error": {
			"GET", "/failing", "", "GET /failing",
			map[string]string{"http.request.method": "GET", "http.route": "/failing", "http.response.status_code": "500"},
			nil, true,
		},
		"an unknown path": {
			"GET", "/nowhere/peter@example.com", "", "GET",
			map[string]string{"http.request.method": "GET", "http.response.status_code": "404"},
			nil, false,
		},
		"an unknown method": {
			"PETER", "/users/12113053", "", "HTTP",
			map[string]string{"http.request.method": "_OTHER", "http.response.status_code": "404"},
			nil, false,
		},
		"links the client's trace": {
			"GET", "/users/1", "00-" + theirs + "-b7ad6b7169203331-01", "GET /users/:sid",
			map[string]string{"http.request.method": "GET", "http.route": "/users/:sid", "http.response.status_code": "200"},
			[]string{theirs + "/b7ad6b7169203331"},
			false,
		},
		"ignores a malformed traceparent": {
			"GET", "/users/1", "00-peter-01", "GET /users/:sid",
			map[string]string{"http.request.method": "GET", "http.route": "/users/:sid", "http.response.status_code": "200"},
			nil, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := otlp.Receive(t)
			traces, err := tracing.New(t.Context(), tracing.Settings{Endpoint: receiver.URL(), Ratio: 1}, "api", "api-0", slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			router := gin.New()
			router.Use(middleware.RequestContext(func(*gin.Context) middleware.Limit { return middleware.Limit{Time: time.Minute} }, transfer.NewMemory(transfer.Settings{})), middleware.Trace(traces))
			var inside string
			router.GET("/users/:sid", func(c *gin.Context) {
				inside, _ = tracing.SampledTraceID(c.Request.Context())
				c.Status(http.StatusOK)
			})
			router.GET("/failing", func(c *gin.Context) { c.Status(http.StatusInternalServerError) })

			r := httptest.NewRequestWithContext(t.Context(), test.method, test.path, http.NoBody)
			r.Header.Set("X-Request-Id", "r1")
			if test.traceparent != "" {
				r.Header.Set("Traceparent", test.traceparent)
				r.Header.Set("Tracestate", "peter=at-example.com") // not recorded
			}
			router.ServeHTTP(httptest.NewRecorder(), r)
			if err := traces.Component().Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			spans := receiver.Spans()
			if len(spans) != 1 {
				t.Fatalf("%d spans, want 1", len(spans))
			}
			s := spans[0]
			test.attributes["merchstore.request_id"] = "r1"
			if s.Name != test.name || s.Kind != "SERVER" || s.Parent != "" || s.TraceID == theirs || s.Failed != test.failed {
				t.Errorf("span is %+v", s)
			}
			if diff := cmp.Diff(test.attributes, s.Attributes); diff != "" {
				t.Error(diff)
			}
			if !slices.Equal(s.Links, test.links) {
				t.Errorf("links are %v, want %v", s.Links, test.links)
			}
			if inside != "" && inside != s.TraceID {
				t.Errorf("the handler is in trace %s, its span in %s", inside, s.TraceID)
			}
		})
	}
}
