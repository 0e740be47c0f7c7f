// Package store tests the store as its users see it, as a black box: real processes, with a real
// PostgreSQL and a real Kafka broker.
package store

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"merchstore.io/merchstore/services/api/openapi"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/stack"
)

func TestMain(m *testing.M) { os.Exit(database.With(kafka.StopAfter(m), schema.Migrate).Run()) }

const goodPassword = "password123"

// store is a store that runs for one test, with a Kafka topic of its own.
type store struct {
	*stack.Stack

	t         *testing.T
	topic     string
	http      *http.Client
	document  validator.Validator
	databases string // URL
}

// start runs the whole store. Its first account is the admin "peter".
func start(t *testing.T, change ...func(*stack.Options)) *store {
	t.Helper()
	broker := kafka.Shared(t)
	o := stack.Options{DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1)}
	for _, c := range change {
		c(&o)
	}
	return &store{
		Stack: stack.Start(t, o), t: t, topic: o.Topic, databases: o.DatabaseURL,
		http: &http.Client{Timeout: 2 * time.Minute}, document: openAPI(t),
	}
}

// openAPI returns a validator of responses against the API's OpenAPI document.
func openAPI(t *testing.T) validator.Validator {
	t.Helper()
	document, err := libopenapi.NewDocument(openapi.Document)
	if err != nil {
		t.Fatalf("read the OpenAPI document: %v", err)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatalf("read the OpenAPI document: %v", errs)
	}
	return v
}

// call is a request and the wanted status.
type call struct {
	method, path string
	token        string
	body         string
	header       http.Header // a nil value removes a default header
	status       int
}

// reply is a response.
type reply struct {
	header http.Header
	body   []byte
}

// do sends a request. The test fails if the status is not the wanted one, or if the response does
// not match the OpenAPI document.
func (s *store) do(c call) reply {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), c.method, s.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		s.t.Fatal(err)
	}
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	response, err := s.http.Do(request)
	if err != nil {
		s.t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	if response.StatusCode != c.status {
		s.t.Fatalf("%s %s %.200s: status %d, want %d: %s", c.method, c.path, c.body, response.StatusCode, c.status, body)
	}
	if response.Header.Get("X-Request-Id") == "" {
		s.t.Errorf("%s %s: the response has no request id", c.method, c.path)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if valid, errs := s.document.ValidateHttpResponse(request, response); !valid && documented(c) {
		for _, e := range errs {
			s.t.Errorf("%s %s: status %d is not as documented: %s: %s\n%s", c.method, c.path, c.status, e.Message, e.Reason, body)
		}
	}
	return reply{response.Header, body}
}

// documented reports whether the document describes a call. It does not describe unknown paths and
// methods.
func documented(c call) bool {
	return c.status != http.StatusMethodNotAllowed && !strings.HasPrefix(c.path, "/nowhere") &&
		!strings.Contains(c.path, "//") && !strings.HasSuffix(c.path, "/")
}

// decode decodes a response's body.
func decode[T any](t *testing.T, r reply) (v T) {
	t.Helper()
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("decode %s: %v", r.body, err)
	}
	return v
}

// Response bodies of version 1.
type (
	user struct {
		ID       int32
		SID      string
		Username string
		Role     string
		Active   bool
	}
	product struct {
		ID    int32
		Name  string
		Price json.Number
		Stock int32
	}
	order struct {
		ID     int64
		Status string
	}
	problem struct {
		Type, Title, Detail, Code string
		Status                    int
		RequestID                 string `json:"request_id"`
		Errors                    []struct{ Field, Message string }
	}
)

// signUp creates an account.
func (s *store) signUp(sid, username string) user {
	s.t.Helper()
	body := `{"sid":"` + sid + `","username":"` + username + `","email":"` + username + `@example.com","password":"` + goodPassword + `"}`
	return decode[user](s.t, s.do(call{method: "POST", path: "/api/v1/users/create", body: body, status: http.StatusCreated}))
}

// login returns a token.
func (s *store) login(username string) string {
	s.t.Helper()
	body := `{"username":"` + username + `","password":"` + goodPassword + `"}`
	r := s.do(call{method: "POST", path: "/api/v1/users/login", body: body, status: http.StatusOK})
	return decode[struct{ Token string }](s.t, r).Token
}
