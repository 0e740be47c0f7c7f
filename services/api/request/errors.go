package request

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	"merchstore.io/merchstore/services/api/problem"
)

// Codes of errors that are found before the DB service is called.
const (
	CodeMalformedJSON   failure.Reason = "malformed_json"
	CodeMalformedForm   failure.Reason = "malformed_form"
	CodeMalformedURL    failure.Reason = "malformed_url"
	CodeUnknownField    failure.Reason = "unknown_field"
	CodeDuplicateField  failure.Reason = "duplicate_field"
	CodeInvalidHeader   failure.Reason = "invalid_header"
	CodeInvalidID       failure.Reason = "invalid_id"
	CodeMissingBody     failure.Reason = "missing_body"
	CodeBodyTooLarge    failure.Reason = "body_too_large"
	CodeUnsupportedType failure.Reason = "unsupported_media_type"
	CodeSlowBody        failure.Reason = "request_timeout"
)

const (
	// MustBeInt32 is the message for a field that is not a 32-bit integer.
	MustBeInt32 = "must be a whole number between -2147483648 and 2147483647"
	// maxQuoted bounds how much of a client's input is quoted in errors and logs.
	maxQuoted = 64
)

// decodeError returns the error for a body that cannot be decoded: 400 for invalid JSON and unknown
// fields, 422 for a value that does not fit its field.
func decodeError(body []byte, err error) error {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return syntaxError(err)
	}
	// The decoder stops at the first wrong value; invalid JSON after it takes precedence.
	if err := json.Unmarshal(body, new(jsontext.Value)); err != nil {
		return syntaxError(err)
	}
	field := fieldName(semantic.JSONPointer)
	switch {
	case errors.Is(semantic.Err, json.ErrUnknownName):
		return unknownField(field)
	case field == "":
		return failure.New(failure.Invalid, failure.ReasonInvalid, "the body must be a JSON object")
	default:
		return failure.InvalidField(field, expected(semantic))
	}
}

func syntaxError(err error) error {
	detail := "the body is not valid JSON"
	var syntactic *jsontext.SyntacticError
	switch {
	case !errors.As(err, &syntactic):
	case errors.Is(syntactic.Err, jsontext.ErrDuplicateName):
		return duplicateField(fieldName(syntactic.JSONPointer))
	case errors.Is(syntactic.Err, io.ErrUnexpectedEOF):
		detail = "the JSON of the body ends too early"
	default:
		detail = fmt.Sprintf("the body is not valid JSON in UTF-8, from byte %d on", syntactic.ByteOffset)
	}
	return problem.New(http.StatusBadRequest, CodeMalformedJSON, detail)
}

// expected describes the values that the field at fault accepts.
func expected(e *json.SemanticError) string {
	for _, known := range []error{errNull, errNotInt32, money.ErrFormat, money.ErrRange} {
		if errors.Is(e, known) {
			return known.Error()
		}
	}
	if e.GoType != nil {
		switch e.GoType.Kind() {
		case reflect.String:
			return "must be a string"
		case reflect.Bool:
			return "must be true or false"
		case reflect.Int32:
			return MustBeInt32
		case reflect.Slice:
			return "must be a list"
		case reflect.Struct:
			return "must be an object"
		}
	}
	return "has an invalid value"
}

func unknownField(name string) error {
	return badField(CodeUnknownField, name, "is unknown; leave it out")
}

func duplicateField(name string) error {
	return badField(CodeDuplicateField, name, "appears more than once; send it once")
}

func badField(code failure.Reason, name, message string) error {
	e := problem.New(http.StatusBadRequest, code, "the field "+name+" "+message)
	e.Failure.Fields = []failure.Field{{Name: name, Message: message}}
	return e
}

func missingBody(want string) error {
	return problem.New(http.StatusBadRequest, CodeMissingBody, "the body is missing; send "+want)
}

// TooLarge returns the error for a body of more than limit bytes.
func TooLarge(limit int64) error {
	return problem.New(http.StatusRequestEntityTooLarge, CodeBodyTooLarge,
		"the body must not be larger than "+strconv.FormatInt(limit, 10)+" bytes")
}

// readError returns the error for a body that could not be read. malformed stands for all errors
// that have no meaning of their own.
func readError(err, malformed error) error {
	var tooLarge *http.MaxBytesError
	switch _, known := failure.As(err); {
	case known:
		return err
	case errors.As(err, &tooLarge):
		return TooLarge(tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(http.StatusRequestTimeout, CodeSlowBody, "the body took too long to arrive")
	default:
		return malformed
	}
}

// fieldName returns p in the notation of most languages: items[0].quantity.
func fieldName(p jsontext.Pointer) string {
	var name strings.Builder
	for token := range p.Tokens() {
		switch _, err := strconv.Atoi(token); {
		case name.Len() == 0:
			name.WriteString(token)
		case err == nil:
			name.WriteString("[" + token + "]")
		default:
			name.WriteString("." + token)
		}
	}
	return Clip(name.String())
}

// Clip shortens a client's input to what may be quoted in an error or a log.
func Clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	end := maxQuoted
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
