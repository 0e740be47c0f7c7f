package storefront

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
)

// pagePolicy lets a page run and load what this process serves, and nothing else: text that strangers wrote cannot
// become script, not even by a mistake in ours. blob: is the preview of a picture before it is uploaded.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"font-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// page is a place of the shop; its name is that of its template, of its module, and of its texts.
type page struct{ path, name string }

func pages() []page {
	return []page{
		{"/", "home"},
		{"/signup", "signup"},
		{"/login", "login"},
		{"/dashboard", "dashboard"},
		{"/products/:id", "product"},
		{"/basket", "basket"},
		{"/orders", "orders"},
		{"/account", "account"},
		{"/admin/users", "admin-users"},
		{"/admin/orders", "admin-orders"},
		{"/admin/logs", "admin-logs"},
	}
}

func renderPages(files fs.FS, a *assets) ([]Route, error) {
	english, err := readTexts(files, "en")
	if err != nil {
		return nil, err
	}
	layout, err := template.New("layout.html").Funcs(template.FuncMap{
		"text":  english.text,
		"asset": a.path,
	}).ParseFS(files, "pages/layout.html", "pages/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}

	var routes []Route
	for _, p := range pages() {
		rendered, err := render(files, layout, a, p.name)
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", p.name, err)
		}
		routes = append(routes, Route{p.path, servePage(rendered)})
	}
	return routes, nil
}

func render(files fs.FS, layout *template.Template, a *assets, name string) (*file, error) {
	t, err := layout.Clone()
	if err != nil {
		return nil, fmt.Errorf("copy the layout: %w", err)
	}
	if t, err = t.ParseFS(files, "pages/"+name+".html"); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	var html bytes.Buffer
	if err := t.Execute(&html, struct{ Name string }{name}); err != nil {
		return nil, fmt.Errorf("execute: %w", err)
	}
	return a.newFile("text/html; charset=utf-8", html.Bytes())
}

func servePage(f *file) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Content-Security-Policy", pagePolicy)
		c.Header("Cache-Control", revalidate)
		f.serve(c)
	}
}

// texts are the words of one language by their keys.
type texts map[string]string

func readTexts(files fs.FS, language string) (texts, error) {
	raw, err := fs.ReadFile(files, "text/"+language+".json")
	if err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	var t texts
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("texts of %s: %w", language, err)
	}
	return t, nil
}

func (t texts) text(key string) (string, error) {
	words, found := t[key]
	if !found {
		return "", fmt.Errorf("there is no text %q", key)
	}
	return words, nil
}
