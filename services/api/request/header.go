package request

import (
	"net/http"
	"strconv"
	"strings"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/problem"
)

const (
	// CodeInvalidHeader is for a header that does not follow its grammar.
	CodeInvalidHeader failure.Reason = "invalid_header"

	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255
	// noVersion is what no product ever has: a tag that is not one of ours can only be stale.
	noVersion = -1
)

// ETag is the tag of a product's version.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// NotModified says whether a client that sent these If-None-Match headers has the version already. Tags are compared
// weakly, as RFC 9110 wants it for this header; headers that are not lists of tags count for nothing.
func NotModified(headers []string, version int64) bool {
	if len(headers) == 0 {
		return false
	}
	tags, ok := parseTags(strings.Join(headers, ","))
	if !ok {
		return false
	}
	current := ETag(version)
	for _, t := range tags {
		if t == "*" || strings.TrimPrefix(t, "W/") == current {
			return true
		}
	}
	return false
}

// IfMatch reads the version that a change was thought out on; nil if the client does not say, or would have any.
// A tag the store never gave, and a weak one, which never matches here, stand for a version that no product has.
func IfMatch(headers []string) (*int64, error) {
	if len(headers) == 0 {
		return nil, nil //nolint:nilnil // absent, as the proto has it
	}
	tags, ok := parseTags(strings.Join(headers, ","))
	if !ok || len(tags) != 1 {
		return nil, problem.New(http.StatusBadRequest, CodeInvalidHeader, `If-Match must hold one ETag as it was sent, for instance "3", or *`)
	}
	if tags[0] == "*" {
		return nil, nil //nolint:nilnil // any version, as the proto has it
	}
	version, err := strconv.ParseInt(strings.Trim(tags[0], `"`), 10, 64)
	if err != nil || ETag(version) != tags[0] {
		version = noVersion
	}
	return &version, nil
}

// parseTags splits `"1", W/"2"` or `*`. Commas may stand in tags.
func parseTags(header string) (tags []string, ok bool) {
	rest := strings.Trim(header, " \t,")
	if rest == "*" {
		return []string{"*"}, true
	}
	for rest != "" {
		start := 0
		if strings.HasPrefix(rest, "W/") {
			start = len("W/")
		}
		if start == len(rest) || rest[start] != '"' {
			return nil, false
		}
		length := strings.IndexByte(rest[start+1:], '"')
		if length < 0 {
			return nil, false
		}
		end := start + 1 + length + 1
		tags = append(tags, rest[:end])
		after := strings.TrimLeft(rest[end:], " \t")
		if after != "" && after[0] != ',' {
			return nil, false
		}
		rest = strings.TrimLeft(after, " \t,")
	}
	return tags, len(tags) > 0
}

// IdempotencyKey reads the key; empty if there is none.
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

// PrintableASCII says whether a header's value can be passed on as it is.
func PrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
