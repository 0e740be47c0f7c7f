package storefront

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http/httptest"
	"path"
	"regexp"
	"testing"
)

func TestContentNegotiation(t *testing.T) {
	t.Parallel()
	r := router(t)
	a, err := readAssets(content)
	if err != nil {
		t.Fatal(err)
	}
	css, err := a.path("style.css")
	if err != nil {
		t.Fatal(err)
	}
	plain := get(t, r, css)
	zipped := get(t, r, css, "Accept-Encoding", "br, gzip;q=0.5")
	if plain.Header().Get("Content-Encoding") != "" || zipped.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("encodings %q, %q", plain.Header().Get("Content-Encoding"), zipped.Header().Get("Content-Encoding"))
	}
	reader, err := gzip.NewReader(bytes.NewReader(zipped.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := io.ReadAll(reader)
	if err != nil || !bytes.Equal(unzipped, plain.Body.Bytes()) {
		t.Errorf("the compressed content differs (%v)", err)
	}
	if plain.Header().Get("ETag") == zipped.Header().Get("ETag") {
		t.Error("both encodings have the same ETag")
	}
	for _, answer := range []*httptest.ResponseRecorder{plain, zipped} {
		if answer.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("Vary is %q", answer.Header().Get("Vary"))
		}
	}
	tests := map[string]struct {
		target   string
		headers  []string
		code     int
		encoding string
		cached   string
	}{
		"cached with this encoding": {css, []string{"If-None-Match", plain.Header().Get("ETag")}, 304, "", immutable},
		"cached with gzip": {
			css, []string{"If-None-Match", zipped.Header().Get("ETag"), "Accept-Encoding", "gzip"}, 304, "", immutable,
		},
		"cached with another encoding": {css, []string{"If-None-Match", zipped.Header().Get("ETag")}, 200, "", immutable},
		"gzip with weight 0":           {css, []string{"Accept-Encoding", "gzip;q=0, *"}, 200, "", immutable},
		"only an unsupported encoding": {css, []string{"Accept-Encoding", "br"}, 200, "", immutable},
		"a version of another release": {assetsPath + "000000000000/style.css", nil, 200, "", revalidate},
		"a page":                       {"/", []string{"Accept-Encoding", "gzip"}, 200, "gzip", revalidate},
		"an unknown asset":             {assetsPath + a.version + "/none.css", nil, 404, "", "no-store"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := get(t, r, tt.target, tt.headers...)
			encoding, cached := answer.Header().Get("Content-Encoding"), answer.Header().Get("Cache-Control")
			if answer.Code != tt.code || encoding != tt.encoding || cached != tt.cached {
				t.Errorf("got %d, encoding %q, Cache-Control %q", answer.Code, encoding, cached)
			}
		})
	}
}

var imported = regexp.MustCompile(`(?m)(?:^import|^} from|from) "([^"]+)";`)

func TestModuleImports(t *testing.T) {
	t.Parallel()
	a, err := readAssets(content)
	if err != nil {
		t.Fatal(err)
	}
	needed := map[string]bool{}
	for _, p := range pages() {
		needed["pages/"+p.name+".js"] = true
	}
	for name, f := range a.files {
		if path.Ext(name) != ".js" {
			continue
		}
		for _, match := range imported.FindAllSubmatch(f.plain.bytes, -1) {
			module := path.Join(path.Dir(name), string(match[1]))
			if _, found := a.files[module]; !found {
				t.Errorf("%s imports %s, which does not exist", name, module)
			}
			needed[module] = true
		}
	}
	for name := range a.files {
		if path.Ext(name) == ".js" && !needed[name] {
			t.Errorf("no module imports %s", name)
		}
	}
}

// TestPageWeight covers all that a first visit loads, but for pictures of products.
func TestPageWeight(t *testing.T) {
	t.Parallel()
	const most = 40 << 10 // bytes
	a, err := readAssets(content)
	if err != nil {
		t.Fatal(err)
	}
	layout, err := fs.ReadFile(content, "pages/layout.html")
	if err != nil {
		t.Fatal(err)
	}
	r := router(t)
	for _, p := range pages() {
		seen := map[string]bool{}
		var load func(name string)
		load = func(name string) {
			if seen[name] {
				return
			}
			seen[name] = true
			for _, match := range imported.FindAllSubmatch(a.files[name].plain.bytes, -1) {
				load(path.Join(path.Dir(name), string(match[1])))
			}
		}
		load("pages/" + p.name + ".js")
		for _, match := range regexp.MustCompile(`asset "([^"]+)"`).FindAllSubmatch(layout, -1) {
			load(string(match[1]))
		}
		load("text/zh.json")
		weight := get(t, r, urlOf(p), "Accept-Encoding", "gzip").Body.Len()
		for name := range seen {
			weight += len(a.files[name].zipped.bytes)
		}
		t.Logf("%s: %.1f KB", p.name, float64(weight)/1000)
		if weight > most {
			t.Errorf("page %s weighs %d bytes, want at most %d", p.name, weight, most)
		}
	}
}
