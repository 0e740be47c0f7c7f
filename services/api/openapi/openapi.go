// Package openapi serves the OpenAPI document of the REST API, and Swagger UI to read it.
package openapi

import (
	_ "embed"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5emb"
)

// Document is the OpenAPI document.
//
//go:embed openapi.yaml
var Document []byte

//go:embed docs.html
var page []byte

//go:embed docs.js
var script []byte

// pagePolicy allows only what this process serves. Swagger UI needs inline styles and data images.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Register adds to router the document, and the page with its assets.
func Register(router gin.IRoutes) {
	get := func(path string, h gin.HandlerFunc) {
		router.Match([]string{http.MethodGet, http.MethodHead}, path, h)
	}
	get("/openapi.yaml", serve("application/yaml", Document))
	get("/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", pagePolicy)
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	})
	get("/docs/docs.js", serve("application/javascript", script))
	bundled := v5emb.New("SUSTech Merch Store", "/openapi.yaml", "/docs/")
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"} {
		get("/docs/"+name, func(c *gin.Context) {
			c.Header("Cache-Control", "public, max-age=86400")
			bundled.ServeHTTP(c.Writer, c.Request)
		})
	}
}

func serve(contentType string, content []byte) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Cache-Control", "no-cache")
		c.Data(http.StatusOK, contentType, content)
	}
}
