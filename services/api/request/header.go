package request

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/problem"
)

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255
	// noVersion is a version that no product has.
	noVersion = -1
)

var (
	entityTag  = regexp.MustCompile(`(W/)?"[^"]*"`)
	entityTags = regexp.MustCompile(`^[\s,]*` + entityTag.String() + `(\s*,\s*(` + entityTag.String() + `)?)*\s*$`)
)

// ETag returns the entity tag of a product's version.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// NotModified reports whether the If-None-Match headers name the version. Tags are compared weakly,
// as RFC 9110 requires for this header.
func NotModified(headers []string, version int64) bool {
	list := strings.Join(headers, ",")
	if strings.TrimSpace(list) == "*" {
		return true
	}
	// A comma in a tag splits it, but no part of it equals one of our tags, which have no commas.
	for tag := range strings.SplitSeq(list, ",") {
		if strings.TrimPrefix(strings.TrimSpace(tag), "W/") == ETag(version) {
			return true
		}
	}
	return false
}

// IfMatch returns the versions that the If-Match headers accept; nil if they are missing or accept
// any. A tag that is not one of ours, or is weak, never matches.
func IfMatch(headers []string) ([]int64, error) {
	list := strings.TrimSpace(strings.Join(headers, ","))
	switch {
	case len(headers) == 0 || list == "*":
		return nil, nil
	case !entityTags.MatchString(list):
		return nil, problem.New(http.StatusBadRequest, CodeInvalidHeader,
			`If-Match must be a list of ETags as they were sent, for instance "3", or *`)
	}
	var versions []int64
	for _, tag := range entityTag.FindAllString(list, -1) {
		version, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
		if err == nil && ETag(version) == tag {
			versions = append(versions, version)
		}
	}
	if versions == nil {
		versions = []int64{noVersion}
	}
	return versions, nil
}

// IdempotencyKey returns the Idempotency-Key header, or "" if there is none.
func IdempotencyKey(h http.Header) (string, error) {
	keys := h.Values(idempotencyHeader)
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1:
		return "", problem.New(http.StatusBadRequest, CodeInvalidHeader, "send one Idempotency-Key, not several")
	case keys[0] == "" || len(keys[0]) > maxIdempotencyKey || !PrintableASCII(keys[0]):
		return "", failure.InvalidField(idempotencyHeader, "must be 1 to 255 printable ASCII characters")
	}
	return keys[0], nil
}

// PrintableASCII reports whether s consists of printable ASCII characters.
func PrintableASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
