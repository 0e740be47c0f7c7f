package rest

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

func TestStreamPages(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("unavailable")
	tests := map[string]struct {
		pages  map[string][]int // by cursor; each page's cursor is its key
		next   map[string]string
		fails  string // cursor of the page that cannot be read
		want   string
		status int
		cut    bool
	}{
		"joins the pages":                   {map[string][]int{"": {1, 2}, "a": {3}}, map[string]string{"": "a"}, "-", "[1,2,3]", 200, false},
		"ends with a page that is empty":    {map[string][]int{"": {1, 2}, "a": {}}, map[string]string{"": "a"}, "-", "[1,2]", 200, false},
		"sends a list of one page":          {map[string][]int{"": {1}}, nil, "-", "[1]", 200, false},
		"sends an empty list":               {map[string][]int{"": {}}, nil, "-", "[]", 200, false},
		"fails if the first page does":      {nil, nil, "", "", 500, false},
		"cuts the response if a later does": {map[string][]int{"": {1, 2}}, map[string]string{"": "a"}, "a", "[1,2", 200, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHandler(t)
			cut := false
			r := route{status: http.StatusOK, access: public, endpoint: func(c *call) (body any, err error) {
				defer func() { // as middleware.Recover and net/http do
					err, _ := recover().(error)
					cut = errors.Is(err, http.ErrAbortHandler)
				}()
				return streamPages(h, c, func(_ context.Context, cursor string) ([]int, string, error) {
					if cursor == tt.fails {
						return nil, "", unavailable
					}
					return tt.pages[cursor], tt.next[cursor], nil
				})
			}}
			w := do(t, h, r, "")
			if tt.want != "" && w.Body.String() != tt.want || w.Code != tt.status || cut != tt.cut {
				t.Errorf("status %d, %s, cut %v", w.Code, w.Body, cut)
			}
		})
	}
}
