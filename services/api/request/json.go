// Package request reads requests: JSON bodies, forms, ids in paths, and headers. Its errors tell
// the client how to correct the request.
package request

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"merchstore.io/merchstore/services/api/problem"
)

var (
	errNull     = errors.New("must not be null; leave it out instead")
	errNotInt32 = errors.New(MustBeInt32)
)

// strict rejects unknown fields and null.
var strict = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(func(d *jsontext.Decoder, _ any) error {
			if d.PeekKind() == 'n' {
				return errNull
			}
			return errors.ErrUnsupported // use the next decoding
		}),
		json.UnmarshalFromFunc(decodeInt32),
	)),
)

// decodeInt32 accepts a whole number as other languages may write it, such as 3.0 or 1e2.
func decodeInt32(d *jsontext.Decoder, n *int32) error {
	if d.PeekKind() != '0' {
		return errors.ErrUnsupported
	}
	text, err := d.ReadValue()
	if err != nil {
		return err //nolint:wrapcheck // json's own
	}
	number, err := strconv.ParseFloat(string(text), 64) // exact for 32 bits
	if err != nil || number != math.Trunc(number) || number < math.MinInt32 || number > math.MaxInt32 {
		return errNotInt32
	}
	*n = int32(number)
	return nil
}

// JSON decodes the body of r. The body can be read again.
func JSON[T any](r *http.Request) (T, error) {
	var into T
	body, err := readJSON(r)
	if err != nil {
		return into, err
	}
	return decode[T](body)
}

func decode[T any](body []byte) (T, error) {
	var into T
	if err := json.Unmarshal(body, &into, strict); err != nil {
		return into, decodeError(body, err)
	}
	return into, nil
}

func readJSON(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, missingBody("a JSON object")
	}
	if err := checkEncoding(r); err != nil {
		return nil, err
	}
	if mediaType(r) != "application/json" {
		return nil, problem.New(http.StatusUnsupportedMediaType, CodeUnsupportedType,
			"send the body as JSON, with the header Content-Type: application/json")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, readError(err, problem.New(http.StatusBadRequest, CodeMalformedJSON, "the body is incomplete"))
	}
	if len(body) == 0 {
		return nil, missingBody("a JSON object")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}
