package storefront

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"merchstore.io/merchstore/services/api/middleware"
)

func router(t *testing.T) *gin.Engine {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	routes, err := Routes()
	if err != nil {
		t.Fatal(err)
	}
	r := gin.New()
	r.Use(middleware.Headers()) // what the pages override
	for _, route := range routes {
		r.GET(route.Path, route.Handler)
	}
	return r
}

// get asks for a path, with headers as pairs of name and value.
func get(t *testing.T, r http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	r.ServeHTTP(answer, request)
	return answer
}

// addressOf puts an id where a page's path takes one.
func addressOf(p page) string { return strings.ReplaceAll(p.path, ":id", "7") }

var (
	headings     = regexp.MustCompile(`<h1[ >]`)
	titles       = regexp.MustCompile(`<title>([^<]+) – SUSTech Merch Store</title>`)
	inlineScript = regexp.MustCompile(`<script[^>]*>[^<]|(?i)\son[a-z]+=|javascript:`)
	inlineStyle  = regexp.MustCompile(`<style|\sstyle=`)
	loaded       = regexp.MustCompile(`(?:src|href)="(/[^"]*)"`)
	ids          = regexp.MustCompile(`\sid="([^"]+)"`)
	references   = regexp.MustCompile(`\s(?:for|aria-labelledby|aria-describedby|aria-controls|list)="([^"]+)"`)
)

func TestPages(t *testing.T) {
	t.Parallel()
	r := router(t)
	for _, p := range pages() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			answer := get(t, r, addressOf(p))
			html := answer.Body.String()
			if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatalf("got %d, %v", answer.Code, answer.Header())
			}
			if policy := answer.Header().Get("Content-Security-Policy"); policy != pagePolicy || strings.Contains(policy, "unsafe") {
				t.Errorf("policy %q", policy)
			}
			if answer.Header().Get("Cache-Control") != "no-cache" {
				t.Errorf("kept as %q", answer.Header().Get("Cache-Control"))
			}
			if n := len(headings.FindAllString(html, -1)); n != 1 {
				t.Errorf("%d main headings", n)
			}
			if !titles.MatchString(html) {
				t.Error("no title")
			}
			for what, pattern := range map[string]*regexp.Regexp{"script": inlineScript, "style": inlineStyle} {
				if found := pattern.FindString(html); found != "" {
					t.Errorf("inline %s: %s", what, found)
				}
			}
		})
	}
}

func TestWhatAPageNamesIsThere(t *testing.T) {
	t.Parallel()
	r := router(t)
	elsewhere := []string{"/docs"} // other packages of the API serve it
	for _, p := range pages() {
		html := get(t, r, addressOf(p)).Body.String()
		for _, match := range loaded.FindAllStringSubmatch(html, -1) {
			if !slices.Contains(elsewhere, match[1]) && get(t, r, match[1]).Code != http.StatusOK {
				t.Errorf("page %s names %s, which is not there", p.name, match[1])
			}
		}
		present := map[string]bool{}
		for _, match := range ids.FindAllStringSubmatch(html, -1) {
			if present[match[1]] {
				t.Errorf("page %s has two elements with the id %s", p.name, match[1])
			}
			present[match[1]] = true
		}
		for _, match := range references.FindAllStringSubmatch(html, -1) {
			for id := range strings.FieldsSeq(match[1]) {
				if !present[id] {
					t.Errorf("page %s points to the id %s, which is not there", p.name, id)
				}
			}
		}
	}
}
