// Package storefront serves the web shop: pages and scripts that use the REST API like any other
// client. There is no build step; what is embedded is what the browser runs.
//
// A page is a template in pages/, rendered into pages/layout.html, and the module of the same name
// in assets/pages/. All text that users read is in text/, one file per language. Pages contain no
// user data, so they are rendered once, at startup.
package storefront

import (
	"embed"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
)

//go:embed assets pages text
var content embed.FS

// Register adds to router the pages and their assets. It fails if the embedded files do not fit
// together.
func Register(router gin.IRoutes) error {
	assets, err := readAssets(content)
	if err != nil {
		return fmt.Errorf("read storefront assets: %w", err)
	}
	get := func(path string, h gin.HandlerFunc) {
		router.Match([]string{http.MethodGet, http.MethodHead}, path, h)
	}
	rendered, err := renderPages(content, assets)
	if err != nil {
		return fmt.Errorf("render storefront pages: %w", err)
	}
	assets.zip = nil
	for _, p := range pages() {
		get(p.path, servePage(rendered[p.name]))
	}
	get(assetsPath+":version/*name", assets.serve)
	return nil
}
