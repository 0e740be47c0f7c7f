package request

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/problem"
)

const maxPageSize = 200

// CheckURL returns an error unless path and query are UTF-8 without NUL, as PostgreSQL requires of strings.
func CheckURL(u *url.URL) error {
	if !isText(u.Path) {
		return malformedURL("the path must be UTF-8 without NUL")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return malformedURL("the query must be written as name=value&name=value, with % before two hexadecimal digits")
	}
	for name, values := range query {
		if !isText(name) || !isText(strings.Join(values, "")) {
			return malformedURL("the query must be UTF-8 without NUL")
		}
	}
	return nil
}

func malformedURL(detail string) error {
	return problem.New(http.StatusBadRequest, CodeMalformedURL, detail)
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// ProductID parses the id of a product.
func ProductID(s string) (int32, error) {
	id, err := parseID(s, 32)
	return int32(id), err //nolint:gosec // parseID checked the size
}

// OrderID parses the id of an order.
func OrderID(s string) (int64, error) { return parseID(s, 64) }

// SID checks the student id in a path. The DB service takes an empty one as the caller's.
func SID(s string) (string, error) {
	if s == "" {
		return "", failure.New(failure.NotFound, "user_not_found", "User not found")
	}
	return s, nil
}

func parseID(s string, bits int) (int64, error) {
	id, err := strconv.ParseInt(s, 10, bits)
	if err != nil || id <= 0 || s[0] == '+' {
		return 0, invalidID("id", "must be a positive whole number of at most "+strconv.Itoa(bits)+" bits")
	}
	return id, nil
}

func invalidID(field, message string) error {
	f := failure.InvalidField(field, message)
	f.Reason = CodeInvalidID
	return f
}

// Page selects a part of a list.
type Page struct {
	Limit  int32 // 0 is the DB service's default
	Cursor string
}

// ParsePage parses the page that a query selects.
func ParsePage(query url.Values) (Page, error) {
	limit, err := Number(query, "limit", 1, maxPageSize)
	return Page{Limit: limit, Cursor: query.Get("cursor")}, err
}

// Number parses a whole number in a query. It is 0 if it is missing.
func Number(query url.Values, name string, least, most int32) (int32, error) {
	if !query.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseInt(query.Get(name), 10, 32)
	if err != nil || n < int64(least) || n > int64(most) {
		return 0, failure.InvalidField(name, fmt.Sprintf("must be a whole number between %d and %d", least, most))
	}
	return int32(n), nil
}
