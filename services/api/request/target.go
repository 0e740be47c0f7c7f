package request

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/problem"
)

const (
	// CodeInvalidID is for an id in a path that nothing can have.
	CodeInvalidID failure.Reason = "invalid_id"
	// CodeMalformedURL is for a path or query that is not text.
	CodeMalformedURL failure.Reason = "malformed_url"

	maxPage = 200
)

// CheckURL refuses a path or query that is not UTF-8, or holds a NUL, which no name in the store does.
func CheckURL(u *url.URL) error {
	if !isText(u.Path) {
		return problem.New(http.StatusBadRequest, CodeMalformedURL, "the path must be UTF-8 without NUL")
	}
	if u.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return problem.New(http.StatusBadRequest, CodeMalformedURL, "the query must be written as name=value&name=value, with % before two hexadecimal digits")
	}
	for name, values := range query {
		if !isText(name) || !isText(strings.Join(values, "")) {
			return problem.New(http.StatusBadRequest, CodeMalformedURL, "the query must be UTF-8 without NUL")
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// ProductID reads the id of a product out of a path.
func ProductID(s string) (int32, error) {
	id, err := positive(s, 32)
	return int32(id), err //nolint:gosec // positive has seen that it fits
}

// OrderID reads the id of an order out of a path.
func OrderID(s string) (int64, error) { return positive(s, 64) }

// SID reads whose account a path is about. An empty one would mean the caller's own to the DB service.
func SID(s string) (string, error) {
	if s == "" {
		f := failure.InvalidField("sid", "must not be empty")
		f.Reason = CodeInvalidID
		return "", f
	}
	return s, nil
}

func positive(s string, bits int) (int64, error) {
	id, err := strconv.ParseInt(s, 10, bits)
	if err != nil || id <= 0 || s[0] == '+' {
		f := failure.InvalidField("id", "must be a positive whole number of at most "+strconv.Itoa(bits)+" bits")
		f.Reason = CodeInvalidID
		return 0, f
	}
	return id, nil
}

// Page is which part of a list is asked for.
type Page struct {
	Limit  int32
	Cursor string
}

// PageOf reads a page out of a query. A limit that is not given is left to the store.
func PageOf(query url.Values) (Page, error) {
	p := Page{Cursor: query.Get("cursor")}
	if !query.Has("limit") {
		return p, nil
	}
	limit, err := strconv.ParseInt(query.Get("limit"), 10, 32)
	if err != nil || limit < 1 || limit > maxPage {
		return p, failure.InvalidField("limit", "must be a whole number between 1 and "+strconv.Itoa(maxPage))
	}
	p.Limit = int32(limit)
	return p, nil
}
