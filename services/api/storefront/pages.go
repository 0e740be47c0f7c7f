package storefront

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
)

// pagePolicy allows only what this process serves, and no inline script: text that users wrote
// cannot run. blob: is for the preview of a picture before its upload.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"font-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// page is a page of the shop. Its template, its module and its texts have its name.
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
		{"/sales", "sales"},
		{"/account", "account"},
		{"/admin/users", "admin-users"},
		{"/admin/orders", "admin-orders"},
		{"/admin/logs", "admin-logs"},
	}
}

// renderPages returns the rendered pages by name.
func renderPages(files fs.FS, a *assets) (map[string]*file, error) {
	english, err := readTexts(files, "en")
	if err != nil {
		return nil, err
	}
	layout, err := template.New("layout.html").Funcs(template.FuncMap{
		"text":  english.text,
		"asset": a.path,
	}).ParseFS(files, "pages/layout.html", "pages/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	rendered := map[string]*file{}
	for _, p := range pages() {
		if rendered[p.name], err = render(files, layout, a, p.name); err != nil {
			return nil, fmt.Errorf("page %s: %w", p.name, err)
		}
	}
	return rendered, nil
}

func render(files fs.FS, layout *template.Template, a *assets, name string) (*file, error) {
	t, err := layout.Clone()
	if err != nil {
		return nil, fmt.Errorf("clone layout: %w", err)
	}
	if t, err = t.ParseFS(files, "pages/"+name+".html"); err != nil {
		return nil, fmt.Errorf("parse template: %w", err)
	}
	var html bytes.Buffer
	if err := t.Execute(&html, struct{ Name string }{name}); err != nil {
		return nil, fmt.Errorf("execute template: %w", err)
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

// texts are the texts of one language by key.
type texts map[string]string

func readTexts(files fs.FS, language string) (texts, error) {
	raw, err := fs.ReadFile(files, "text/"+language+".json")
	if err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	var t texts
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("decode texts in %s: %w", language, err)
	}
	return t, nil
}

func (t texts) text(key string) (string, error) {
	text, found := t[key]
	if !found {
		return "", fmt.Errorf("no text %q", key)
	}
	return text, nil
}
