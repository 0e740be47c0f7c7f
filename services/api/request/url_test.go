package request

import (
	"net/http"
	"net/url"
	"testing"

	"merchstore.io/merchstore/services/api/problem"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text    string
		product int32
		order   int64
	}{
		"a number":                   {"12", 12, 12},
		"the largest product id":     {"2147483647", 2147483647, 2147483647},
		"an order id beyond 32 bits": {"2147483648", 0, 2147483648},
		"the largest order id":       {"9223372036854775807", 0, 9223372036854775807},
		"beyond 64 bits":             {"9223372036854775808", 0, 0},
		"zero":                       {"0", 0, 0},
		"a negative number":          {"-1", 0, 0},
		"a number with a plus":       {"+1", 0, 0},
		"a fraction":                 {"1.5", 0, 0},
		"a hexadecimal number":       {"0x1", 0, 0},
		"a word":                     {"abc", 0, 0},
		"nothing":                    {"", 0, 0},
		"other digits":               {"١", 0, 0},
		"invalid UTF-8":              {"1\xff", 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			product, err := ProductID(tt.text)
			checkID(t, int64(product), int64(tt.product), err)
			order, err := OrderID(tt.text)
			checkID(t, order, tt.order, err)
		})
	}
}

// checkID expects an error if want is 0.
func checkID(t *testing.T, got, want int64, err error) {
	t.Helper()
	if want == 0 {
		if err == nil {
			t.Errorf("parsed as %d, want an error", got)
		} else if a := problem.For(err, ""); a.Status != http.StatusUnprocessableEntity || a.Code != string(CodeInvalidID) {
			t.Errorf("rejected with %d %s", a.Status, a.Code)
		}
	} else if err != nil || got != want {
		t.Errorf("got %d, %v, want %d", got, err, want)
	}
}

func TestParsePage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		query string
		want  Page
		fails bool
	}{
		"nothing":                     {"", Page{}, false},
		"both":                        {"limit=20&cursor=abc", Page{20, "abc"}, false},
		"an unknown parameter":        {"colour=red", Page{}, false},
		"the largest limit":           {"limit=200", Page{200, ""}, false},
		"more than the largest limit": {"limit=201", Page{}, true},
		"limit 0":                     {"limit=0", Page{}, true},
		"a negative limit":            {"limit=-1", Page{}, true},
		"a word":                      {"limit=all", Page{}, true},
		"an empty limit":              {"limit=", Page{}, true},
		"a limit beyond 64 bits":      {"limit=99999999999999999999", Page{}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParsePage(query)
			if (err != nil) != tt.fails || (err == nil && got != tt.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		url   string
		valid bool
	}{
		"a valid URL":                        {"/api/v1/products?q=cap", true},
		"any script":                         {"/api/v1/users/%E5%8D%97?q=%E7%A7%91", true},
		"a path that is not UTF-8":           {"/api/v1/users/%ff", false},
		"a path with NUL":                    {"/api/v1/users/a%00", false},
		"a query that is not UTF-8":          {"/?q=%ff", false},
		"a parameter name that is not UTF-8": {"/?%ff=1", false},
		"a query with NUL":                   {"/?cursor=%00", false},
		"an invalid escape":                  {"/?q=%zz", false},
		"a query with a semicolon":           {"/?a=1;b=2", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.ParseRequestURI(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckURL(u); (err == nil) != tt.valid {
				t.Errorf("got %v", err)
			} else if err != nil && problem.For(err, "").Status != http.StatusBadRequest {
				t.Errorf("got %v", problem.For(err, ""))
			}
		})
	}
}

func FuzzPage(f *testing.F) {
	for _, seed := range []string{"limit=1&cursor=abc", "limit=%00", "cursor=%ff", "limit=2147483648", ";", "%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		u := &url.URL{Path: "/", RawQuery: query}
		if CheckURL(u) != nil {
			return
		}
		p, err := ParsePage(u.Query())
		if err == nil && (p.Limit < 0 || p.Limit > maxPageSize || !isText(p.Cursor)) {
			t.Errorf("%q gave %+v", query, p)
		}
	})
}
