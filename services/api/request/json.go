// Package request reads what clients send: JSON bodies, ids in paths, and headers. What it refuses, it refuses with a
// sentence that says what to do instead.
package request

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/problem"
)

// Codes of what is wrong with a request before any rule of the store is asked.
const (
	CodeMalformedJSON   failure.Reason = "malformed_json"
	CodeUnknownField    failure.Reason = "unknown_field"
	CodeDuplicateField  failure.Reason = "duplicate_field"
	CodeMissingBody     failure.Reason = "missing_body"
	CodeBodyTooLarge    failure.Reason = "body_too_large"
	CodeUnsupportedType failure.Reason = "unsupported_media_type"
	CodeSlowBody        failure.Reason = "request_timeout"
)

var errNull = errors.New("must not be null; leave it out instead")

// decoding refuses what a client can only have written by mistake.
var decoding = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, _ any) error {
		if d.PeekKind() == 'n' {
			return errNull
		}
		return errors.ErrUnsupported // everything but null is decoded as usual
	})),
)

// JSON reads the body of a request into a T.
func JSON[T any](r *http.Request) (T, error) {
	var into T
	body, err := read(r)
	if err != nil {
		return into, err
	}
	return decode[T](body)
}

func decode[T any](body []byte) (T, error) {
	var into T
	if err := json.Unmarshal(body, &into, decoding); err != nil {
		return into, explain(body, err)
	}
	return into, nil
}

func read(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, missingBody()
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, problem.New(http.StatusUnsupportedMediaType, CodeUnsupportedType,
			"send the body as JSON, with the header Content-Type: application/json")
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, TooLarge(tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, problem.New(http.StatusRequestTimeout, CodeSlowBody, "the body took too long to arrive")
	case err != nil:
		return nil, problem.New(http.StatusBadRequest, CodeMalformedJSON, "the body did not arrive whole")
	case len(body) == 0:
		return nil, missingBody()
	}
	return body, nil
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == "application/json"
}

func missingBody() error {
	return problem.New(http.StatusBadRequest, CodeMissingBody, "the body is missing; send a JSON object")
}

// TooLarge refuses a body of more than limit bytes.
func TooLarge(limit int64) error {
	return problem.New(http.StatusRequestEntityTooLarge, CodeBodyTooLarge,
		"the body must not be larger than "+strconv.FormatInt(limit, 10)+" bytes")
}
