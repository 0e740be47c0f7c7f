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
	r := gin.New()
	r.Use(middleware.Headers()) // overridden by the pages
	if err := Register(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// get requests a path. headers are pairs of name and value.
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

// urlOf returns the path of a page, with an id where it takes one.
func urlOf(p page) string { return strings.ReplaceAll(p.path, ":id", "7") }

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
			answer := get(t, r, urlOf(p))
			html := answer.Body.String()
			if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatalf("got %d, %v", answer.Code, answer.Header())
			}
			if policy := answer.Header().Get("Content-Security-Policy"); policy != pagePolicy || strings.Contains(policy, "unsafe") {
				t.Errorf("policy %q", policy)
			}
			if answer.Header().Get("Cache-Control") != "no-cache" {
				t.Errorf("Cache-Control %q", answer.Header().Get("Cache-Control"))
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

func TestPagesHaveNoBrokenReferences(t *testing.T) {
	t.Parallel()
	r := router(t)
	elsewhere := []string{"/docs"} // served by other packages
	for _, p := range pages() {
		html := get(t, r, urlOf(p)).Body.String()
		for _, match := range loaded.FindAllStringSubmatch(html, -1) {
			if !slices.Contains(elsewhere, match[1]) && get(t, r, match[1]).Code != http.StatusOK {
				t.Errorf("page %s refers to %s, which does not exist", p.name, match[1])
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
					t.Errorf("page %s refers to the id %s, which does not exist", p.name, id)
				}
			}
		}
	}
}
