package request

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"merchstore.io/merchstore/services/api/problem"
)

// TestReadFormRejectsEveryCutOffForm cuts a form at each byte. None may be read as one with fewer
// parts.
func TestReadFormRejectsEveryCutOffForm(t *testing.T) {
	t.Parallel()
	const whole = "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nCap\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--b--"
	read := func(body string) (Form, error) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		return ReadForm(r, "name")
	}
	for end := range len(whole) {
		if f, err := read(whole[:end]); err == nil {
			t.Errorf("%q is read as %v", whole[:end], f)
		} else if got := problem.For(err, ""); got.Status != http.StatusBadRequest {
			t.Errorf("%q: status %d", whole[:end], got.Status)
		}
	}
	for _, epilogue := range []string{"", "\r\n", "\r\nepilogue", "\r\n" + strings.Repeat("x", 10_000)} {
		if f, err := read(whole + epilogue); err != nil || f.Fields["name"] != "Cap" || string(bytes.Join(f.File, nil)) != "\x89PNG" {
			t.Errorf("with %.20q after it: %v, %v", epilogue, f, err)
		}
	}
}

func TestCompressedBodies(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(*http.Request) error{
		"JSON":      func(r *http.Request) error { _, err := JSON[map[string]int](r); return err },
		"a form":    func(r *http.Request) error { _, err := ReadForm(r); return err },
		"a picture": func(r *http.Request) error { _, err := ReadFile(r); return err },
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("{}"))
		r.Header.Set("Content-Encoding", "gzip")
		r.Header.Set("Content-Type", map[string]string{
			"JSON": "application/json", "a form": "multipart/form-data; boundary=b", "a picture": "image/png",
		}[name])
		got := problem.For(read(r), "")
		if got.Status != http.StatusUnsupportedMediaType || got.Encoding != "identity" || got.Code != "unsupported_content_encoding" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("{}"))
	r.Header["Content-Encoding"], r.Header["Content-Type"] = []string{"identity"}, []string{"application/json"}
	if _, err := JSON[map[string]int](r); err != nil {
		t.Error(err)
	}
}
