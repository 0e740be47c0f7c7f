package request

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	"merchstore.io/merchstore/services/api/problem"
)

type line struct {
	Quantity int32 `json:"quantity"`
}

type example struct {
	Name  string        `json:"name"`
	Price *money.Amount `json:"price"`
	Stock *int32        `json:"stock"`
	Lines []line        `json:"lines"`
}

func TestJSON(t *testing.T) {
	t.Parallel()
	const jsonType = "application/json"
	tests := map[string]struct {
		contentType string
		body        string
		status      int
		code        failure.Reason
		field       string
		message     string
	}{
		"valid JSON":                      {jsonType, `{"name":"Cap","price":99.99,"stock":3}`, 200, "", "", ""},
		"a charset":                       {"application/json; charset=UTF-8", `{"name":"Cap"}`, 200, "", "", ""},
		"space around the object":         {jsonType, " {\"name\":\"Cap\"}\r\n", 200, "", "", ""},
		"no body":                         {jsonType, ``, 400, CodeMissingBody, "", ""},
		"a form":                          {"application/x-www-form-urlencoded", `name=Cap`, 415, CodeUnsupportedType, "", ""},
		"no media type":                   {"", `{"name":"Cap"}`, 415, CodeUnsupportedType, "", ""},
		"a malformed media type":          {"json;;", `{"name":"Cap"}`, 415, CodeUnsupportedType, "", ""},
		"truncated JSON":                  {jsonType, `{"name":"Cap"`, 400, CodeMalformedJSON, "", ""},
		"text that is not JSON":           {jsonType, `hello`, 400, CodeMalformedJSON, "", ""},
		"a trailing comma":                {jsonType, `{"name":"Cap",}`, 400, CodeMalformedJSON, "", ""},
		"data after the object":           {jsonType, `{"name":"Cap"}{}`, 400, CodeMalformedJSON, "", ""},
		"broken JSON after a wrong value": {jsonType, `{"name":5,`, 400, CodeMalformedJSON, "", ""},
		"invalid UTF-8":                   {jsonType, "{\"name\":\"\xff\"}", 400, CodeMalformedJSON, "", ""},
		"half a surrogate pair":           {jsonType, `{"name":"\ud800"}`, 400, CodeMalformedJSON, "", ""},
		"a duplicate field":               {jsonType, `{"name":"Cap","name":"Hat"}`, 400, CodeDuplicateField, "name", "appears more than once; send it once"},
		"an unknown field":                {jsonType, `{"colour":"Cap"}`, 400, CodeUnknownField, "colour", "is unknown; leave it out"},
		"a field in another case":         {jsonType, `{"Name":"Cap"}`, 400, CodeUnknownField, "Name", "is unknown; leave it out"},
		"an unknown nested field":         {jsonType, `{"lines":[{"qty":1}]}`, 400, CodeUnknownField, "lines[0].qty", "is unknown; leave it out"},
		"a list instead of an object":     {jsonType, `[]`, 422, failure.ReasonInvalid, "", ""},
		"null instead of an object":       {jsonType, `null`, 422, failure.ReasonInvalid, "", ""},
		"a number for a string":           {jsonType, `{"name":5}`, 422, failure.ReasonInvalid, "name", "must be a string"},
		"null for a string":               {jsonType, `{"name":null}`, 422, failure.ReasonInvalid, "name", "must not be null; leave it out instead"},
		"null for an optional field":      {jsonType, `{"stock":null}`, 422, failure.ReasonInvalid, "stock", "must not be null; leave it out instead"},
		"a fraction for a whole number":   {jsonType, `{"lines":[{"quantity":1},{"quantity":1.5}]}`, 422, failure.ReasonInvalid, "lines[1].quantity", "must be a whole number between -2147483648 and 2147483647"},
		"a whole number with decimals":    {jsonType, `{"name":"Cap","stock":3.0}`, 200, "", "", ""},
		"a whole number with an exponent": {jsonType, `{"name":"Cap","stock":1e2}`, 200, "", "", ""},
		"a number greater than 32 bits":   {jsonType, `{"stock":2147483648}`, 422, failure.ReasonInvalid, "stock", "must be a whole number between -2147483648 and 2147483647"},
		"a string for a number":           {jsonType, `{"stock":"3"}`, 422, failure.ReasonInvalid, "stock", "must be a whole number between -2147483648 and 2147483647"},
		"a price with three decimals":     {jsonType, `{"price":9.999}`, 422, failure.ReasonInvalid, "price", "must be a number with at most two decimals, like 99.99"},
		"a price with an exponent":        {jsonType, `{"price":1e2}`, 422, failure.ReasonInvalid, "price", "must be a number with at most two decimals, like 99.99"},
		"a price in a string":             {jsonType, `{"price":"9.99"}`, 422, failure.ReasonInvalid, "price", "must be a number with at most two decimals, like 99.99"},
		"a price in an object":            {jsonType, `{"price":{"amount":1}}`, 422, failure.ReasonInvalid, "price", "must be a number with at most two decimals, like 99.99"},
		"a price out of range":            {jsonType, `{"price":100000000}`, 422, failure.ReasonInvalid, "price", "must be between -99999999.99 and 99999999.99"},
		"an object for a list":            {jsonType, `{"lines":{}}`, 422, failure.ReasonInvalid, "lines", "must be a list"},
		"a number for an object":          {jsonType, `{"lines":[1]}`, 422, failure.ReasonInvalid, "lines[0]", "must be an object"},
		"a body beyond the limit":         {jsonType, `{"name":"` + strings.Repeat("x", 2000) + `"}`, 413, CodeBodyTooLarge, "", ""},
		"a long field name is shortened":  {jsonType, `{"` + strings.Repeat("n", 100) + `":1}`, 400, CodeUnknownField, strings.Repeat("n", 64) + "…", "is unknown; leave it out"},
		"a deeply nested body":            {jsonType, `{"name":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`, 422, failure.ReasonInvalid, "name", "must be a string"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.contentType)
			r.Body = http.MaxBytesReader(nil, r.Body, 1024)
			_, err := JSON[example](r)
			if tt.status == 200 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			got := problem.For(err, "")
			var field, message string
			if len(got.Errors) > 0 {
				field, message = got.Errors[0].Field, got.Errors[0].Message
			}
			if got.Status != tt.status || got.Code != string(tt.code) || field != tt.field || message != tt.message {
				t.Errorf("got %d %s %q %q (%s), want %d %s %q %q",
					got.Status, got.Code, field, message, got.Detail, tt.status, tt.code, tt.field, tt.message)
			}
		})
	}
}

func TestAbsentIsNotZero(t *testing.T) {
	t.Parallel()
	got, err := decode[example]([]byte(`{"stock":0}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example{Stock: new(int32)}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"name":"Cap","price":99.99,"stock":3,"lines":[{"quantity":1}]}`, `{"name":null}`, `[`, `{"a":{"b":[1,{"c":null}]}}`,
		"{\"\xff\":1}", `{"price":-0}`, `{"~1/0":1}`, `{"":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := decode[example](body)
		if err == nil {
			return
		}
		a := problem.For(err, "id")
		if a.Status != http.StatusBadRequest && a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%q is answered with %d: %v", body, a.Status, err)
		}
		if a.Detail == "" || a.Code == "" || strings.Contains(a.Detail, "json:") {
			t.Errorf("%q is answered with code %q, detail %q", body, a.Code, a.Detail)
		}
	})
}

func TestInterruptedBody(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", failingReader{})
	r.Header.Set("Content-Type", "application/json")
	_, err := JSON[example](r)
	if got := problem.For(err, ""); got.Status != http.StatusBadRequest {
		t.Errorf("got %d: %v", got.Status, err)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
