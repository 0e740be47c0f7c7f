package request

import (
	"errors"
	"fmt"
	"io"
	"net/http"
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

// maxQuoted bounds how much of a client's own words it gets back.
const maxQuoted = 64

// explain tells the client what is wrong with its JSON. What is not JSON at all is 400, and so are fields that nobody
// reads; a value that does not fit its field is 422.
func explain(body []byte, err error) error {
	var meaning *json.SemanticError
	if !errors.As(err, &meaning) {
		return explainSyntax(err)
	}
	if broken := syntaxError(body); broken != nil { // the decoder found the wrong value first; broken JSON counts for more
		return explainSyntax(broken)
	}
	field := fieldName(meaning.JSONPointer)
	switch {
	case errors.Is(meaning.Err, json.ErrUnknownName):
		return malformed(CodeUnknownField, "the field "+field+" is not known here; leave it out", field)
	case field == "":
		return failure.New(failure.Invalid, failure.ReasonInvalid, "the body must be a JSON object")
	default:
		return failure.InvalidField(field, wanted(meaning))
	}
}

func syntaxError(body []byte) error {
	var whole jsontext.Value
	return json.Unmarshal(body, &whole)
}

func explainSyntax(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case !errors.As(err, &syntax):
		return problem.New(http.StatusBadRequest, CodeMalformedJSON, "the body is not valid JSON")
	case errors.Is(syntax.Err, jsontext.ErrDuplicateName):
		field := fieldName(syntax.JSONPointer)
		return malformed(CodeDuplicateField, "the field "+field+" stands there twice; send it once", field)
	case errors.Is(syntax.Err, io.ErrUnexpectedEOF):
		return problem.New(http.StatusBadRequest, CodeMalformedJSON, "the JSON of the body ends too early")
	default:
		return problem.New(http.StatusBadRequest, CodeMalformedJSON,
			fmt.Sprintf("the body is not valid JSON in UTF-8, from byte %d on", syntax.ByteOffset))
	}
}

func malformed(code failure.Reason, detail, field string) error {
	e := problem.New(http.StatusBadRequest, code, detail)
	_, message, _ := strings.Cut(detail, field+" ")
	e.Failure.Fields = []failure.Field{{Name: field, Message: message}}
	return e
}

// wanted says what belongs into the field at fault.
func wanted(e *json.SemanticError) string {
	for _, known := range []error{errNull, money.ErrFormat, money.ErrRange} {
		if errors.Is(e, known) {
			return known.Error()
		}
	}
	if e.GoType == nil {
		return "has a value that does not fit"
	}
	switch t := e.GoType; t.Kind() {
	case reflect.String:
		return "must be a string"
	case reflect.Bool:
		return "must be true or false"
	case reflect.Int32:
		return "must be a whole number between -2147483648 and 2147483647"
	case reflect.Slice:
		return "must be a list"
	case reflect.Struct:
		return "must be an object"
	default:
		return "has a value that does not fit"
	}
}

// fieldName writes a JSON pointer the way clients know it from their own code: items[0].quantity.
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

// Clip cuts what a client has written down to what can be shown to it, or put into a log.
func Clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
