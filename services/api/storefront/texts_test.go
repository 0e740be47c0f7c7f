package storefront

import (
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	textElement  = regexp.MustCompile(`<[^>]*data-text="([^"]+)"[^>]*>([^<]*)<`)
	labelElement = regexp.MustCompile(`aria-label="([^"]*)" data-label="([^"]+)"`)
)

func TestPagesAreRenderedInEnglish(t *testing.T) {
	t.Parallel()
	r := router(t)
	english, err := readTexts(content, "en")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages() {
		html := get(t, r, urlOf(p)).Body.String()
		for _, match := range textElement.FindAllStringSubmatch(html, -1) {
			if want := english[match[1]]; want == "" || unescape(match[2]) != want {
				t.Errorf("page %s has %q for %s, want %q", p.name, match[2], match[1], want)
			}
		}
		for _, match := range labelElement.FindAllStringSubmatch(html, -1) {
			if want := english[match[2]]; want == "" || match[1] != want {
				t.Errorf("page %s has the label %q for %s, want %q", p.name, match[1], match[2], want)
			}
		}
	}
}

func unescape(s string) string {
	return strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&amp;", "&").Replace(s)
}

var (
	placeholders = regexp.MustCompile(`\{\w+\}`)
	keyInUse     = regexp.MustCompile(`(?:text\(|text |data-text=|data-label=|empty: |\? |: |states\S* = )"([a-z-]+\.[\w-]+)"`)
	// keyPrefix finds the prefixes of computed keys, such as text(`order.${status}`).
	keyPrefix = regexp.MustCompile("`([a-z-]+\\.)\\$\\{")
)

func TestTranslationsHaveTheSameKeysAndPlaceholders(t *testing.T) {
	t.Parallel()
	english, err := readTexts(content, "en")
	if err != nil {
		t.Fatal(err)
	}
	chinese, err := readTexts(content, "zh")
	if err != nil {
		t.Fatal(err)
	}
	for key, words := range english {
		want, got := placeholders.FindAllString(words, -1), placeholders.FindAllString(chinese[key], -1)
		slices.Sort(want)
		slices.Sort(got)
		if chinese[key] == "" || !slices.Equal(want, got) {
			t.Errorf("%s: %q in English, %q in Chinese", key, words, chinese[key])
		}
	}
	for key := range chinese {
		if english[key] == "" {
			t.Errorf("%s exists in Chinese only", key)
		}
	}
}

func TestTextsAreUsedAndDefined(t *testing.T) {
	t.Parallel()
	english, err := readTexts(content, "en")
	if err != nil {
		t.Fatal(err)
	}
	unused := maps.Clone(english)
	for _, p := range pages() {
		delete(unused, p.name+".title")
	}
	for name, source := range sources(t) {
		for _, match := range keyInUse.FindAllStringSubmatch(source, -1) {
			if english[match[1]] == "" {
				t.Errorf("%s uses %s, which does not exist", name, match[1])
			}
			delete(unused, match[1])
		}
		for _, match := range keyPrefix.FindAllStringSubmatch(source, -1) {
			maps.DeleteFunc(unused, func(key, _ string) bool { return strings.HasPrefix(key, match[1]) })
		}
	}
	for key := range unused {
		t.Errorf("%s is not used", key)
	}
}

// sources returns the templates and modules by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(content, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".js" && path.Ext(name) != ".html" {
			return err
		}
		source, err := fs.ReadFile(content, name)
		found[name] = string(source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestModulesNeverParseHTML(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`(inner|outer|insertAdjacent)HTML|document\.write|DOMParser|\beval\(|new Function|\.style\b`)
	for name, source := range sources(t) {
		if found := forbidden.FindString(source); found != "" {
			t.Errorf("%s uses %s", name, found)
		}
	}
}
