// Package storefront is the shop in the browser: pages and their scripts, served by the API process and speaking to its
// REST API like any other client. There is nothing to build: what is embedded is what runs.
//
// A page is a template under pages/ inside pages/layout.html, and the module of the same name under assets/pages/. All
// that is read by people stands in text/, once per language. Pages hold nothing of a visitor, so they are made once.
package storefront

import (
	"embed"
	"fmt"

	"github.com/gin-gonic/gin"
)

//go:embed assets pages text
var content embed.FS

// Route is a path and what is served there.
type Route struct {
	Path    string
	Handler gin.HandlerFunc
}

// Routes are the pages and all that they load. An error means that what is embedded does not fit together.
func Routes() ([]Route, error) {
	assets, err := readAssets(content)
	if err != nil {
		return nil, fmt.Errorf("read the storefront's assets: %w", err)
	}
	rendered, err := renderPages(content, assets)
	if err != nil {
		return nil, fmt.Errorf("make the storefront's pages: %w", err)
	}
	assets.zip = nil // all is compressed
	return append(rendered, Route{assetsPath + ":version/*name", assets.serve}), nil
}
