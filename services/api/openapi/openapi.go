// Package openapi serves the description of the REST service, and a page to read it on, all from the process itself.
package openapi

import (
	_ "embed"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5emb"
)

// Document is the OpenAPI description.
//
//go:embed openapi.yaml
var Document []byte

//go:embed docs.html
var page []byte

//go:embed docs.js
var script []byte

const (
	assetsPath = "/docs/"
	// pagePolicy keeps the page to what this process serves. The styles and images are Swagger UI's own.
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	keepADay = "public, max-age=86400"
)

// Route is a path and what is served there.
type Route struct {
	Path    string
	Handler gin.HandlerFunc
}

// Routes are the document, the page and what the page needs.
func Routes() []Route {
	bundled := v5emb.New("SUSTech Merch Store", "/openapi.yaml", assetsPath)
	asset := func(c *gin.Context) {
		c.Header("Cache-Control", keepADay)
		bundled.ServeHTTP(c.Writer, c.Request)
	}
	return []Route{
		{"/openapi.yaml", serve("application/yaml", Document)},
		{"/docs", func(c *gin.Context) {
			c.Header("Content-Security-Policy", pagePolicy)
			c.Data(http.StatusOK, "text/html; charset=utf-8", page)
		}},
		{assetsPath + "docs.js", serve("application/javascript", script)},
		{assetsPath + "swagger-ui.css", asset},
		{assetsPath + "swagger-ui-bundle.js", asset},
		{assetsPath + "favicon-32x32.png", asset},
	}
}

func serve(contentType string, content []byte) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Cache-Control", "no-cache")
		c.Data(http.StatusOK, contentType, content)
	}
}
