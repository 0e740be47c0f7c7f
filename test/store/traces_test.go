package store

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/otlp"
	"merchstore.io/merchstore/test/stack"
)

// The traceparent of a client that wants its requests to be traced.
const (
	forgedTrace = "0af7651916cd43dd8448eb211c80319c"
	forgedSpan  = "b7ad6b7169203331"
)

// buy places an order with a traceparent, and returns the request id.
func (s *store) buy(token string) (requestID string) {
	s.t.Helper()
	return s.do(call{
		method: "POST", path: "/api/v1/orders", token: token, body: `{"product_id":1,"quantity":1}`, status: http.StatusCreated,
		header: http.Header{"Traceparent": {"00-" + forgedTrace + "-" + forgedSpan + "-01"}, "Idempotency-Key": {"a-key-of-peter"}},
	}).header.Get("X-Request-Id")
}

// finish stops the store, which flushes its log messages and spans.
func (s *store) finish() {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
}

// record returns the log record of a request.
func (s *store) record(requestID string) kafka.Record {
	s.t.Helper()
	records := kafka.Shared(s.t).Records(s.t, s.topic, 1)
	i := slices.IndexFunc(records, func(r kafka.Record) bool { return r.Headers["request_id"] == requestID })
	if i < 0 {
		s.t.Fatalf("no record of request %s in %d records", requestID, len(records))
	}
	return records[i]
}

// loggedTrace returns the trace id in the API's log line about a request.
func loggedTrace(t *testing.T, logFile, requestID string) string {
	t.Helper()
	log, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(log)) {
		var line struct {
			Message   string `json:"msg"`
			RequestID string `json:"request_id"`
			TraceID   string `json:"trace_id"`
		}
		if err := json.Unmarshal([]byte(text), &line); err == nil && line.Message == "request" && line.RequestID == requestID {
			return line.TraceID
		}
	}
	t.Fatalf("%s has no line about request %s", logFile, requestID)
	return ""
}

// trace is the spans of a trace.
type trace struct {
	t     *testing.T
	spans []otlp.Span
}

// child returns the only child of a span that has the service, the kind, and matches.
func (tr trace) child(of otlp.Span, service, kind string, matches func(otlp.Span) bool) otlp.Span {
	tr.t.Helper()
	var found []otlp.Span
	for _, s := range tr.spans {
		if s.Parent == of.ID && s.Service == service && s.Kind == kind && matches(s) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		tr.t.Fatalf("%d spans of %s, %s, are children of %q, want 1; the trace is\n%s", len(found), service, kind, of.Name, tr)
	}
	return found[0]
}

func (tr trace) String() string {
	var b strings.Builder
	for _, s := range tr.spans {
		b.WriteString(strings.Join([]string{s.ID, "in", s.Parent, s.Service, s.Kind, s.Name, s.Attributes["db.query.text"]}, " ") + "\n")
	}
	return b.String()
}

func named(name string) func(otlp.Span) bool { return func(s otlp.Span) bool { return s.Name == name } }

func TestTraceOfAnOrderIncludesAllServices(t *testing.T) {
	t.Parallel()
	receiver := otlp.Receive(t)
	s := start(t, func(o *stack.Options) {
		o.Env = map[string]map[string]string{"": {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.URL(), "OTEL_TRACES_SAMPLER_ARG": "1"}}
	})
	s.signUp("12113053", "peter")
	requestID := s.buy(s.login("peter"))
	logFile := s.Process(stack.API).LogFile
	s.finish()

	all := receiver.Spans()
	i := slices.IndexFunc(all, func(s otlp.Span) bool { return s.Attributes["merchstore.request_id"] == requestID })
	if i < 0 {
		t.Fatalf("no span of request %s in %d spans", requestID, len(all))
	}
	root := all[i]
	if root.Name != "POST /api/v1/orders" || root.Kind != "SERVER" || root.Service != "merchstore-api" || root.Parent != "" ||
		root.Attributes["http.route"] != "/api/v1/orders" || root.Attributes["http.response.status_code"] != "201" {
		t.Errorf("the trace begins with %+v", root)
	}
	if root.TraceID == forgedTrace || !slices.Equal(root.Links, []string{forgedTrace + "/" + forgedSpan}) {
		t.Errorf("the client's trace is not only linked: %+v", root)
	}
	if root.Resource["service.instance.id"] != "api" || root.Resource["service.version"] == "" {
		t.Errorf("resource is %v", root.Resource)
	}

	tr := trace{t: t}
	for _, span := range all {
		if span.TraceID == root.TraceID {
			tr.spans = append(tr.spans, span)
		}
	}
	const method = "merchstore.v1.DBService/PlaceOrder"
	asked := tr.child(root, "merchstore-api", "CLIENT", named(method))
	served := tr.child(asked, "merchstore-db", "SERVER", named(method))
	group := tr.child(served, "merchstore-db", "INTERNAL", named("place orders"))
	checkStatements(tr, group)
	stored := tr.child(root, "merchstore-logging", "PRODUCER", named("send "+s.topic))
	if stored.Attributes["messaging.destination.name"] != s.topic {
		t.Errorf("the record's span is %+v", stored)
	}

	if r := s.record(requestID); r.Headers["trace_id"] != root.TraceID || r.Headers["id"] != stored.Attributes["messaging.message.id"] {
		t.Errorf("headers of the record are %v, its trace is %s and its span %+v", r.Headers, root.TraceID, stored)
	}
	if got := loggedTrace(t, logFile, requestID); got != root.TraceID {
		t.Errorf("the API's log names trace %q, want %s", got, root.TraceID)
	}
}

// checkStatements checks the spans of the group's statements, each within its batch.
func checkStatements(tr trace, group otlp.Span) {
	tr.t.Helper()
	in := map[string]string{} // batch by the beginning of the statement
	for _, s := range tr.spans {
		if sql := s.Attributes["db.query.text"]; sql != "" {
			in[strings.Join(strings.Fields(sql)[:min(3, len(strings.Fields(sql)))], " ")] = s.Parent
		}
		for name, value := range s.Attributes {
			if strings.Contains(value, "a-key-of-peter") || strings.Contains(value, "peter@") {
				tr.t.Errorf("span %q contains a bound value: %s is %s", s.Name, name, value)
			}
		}
	}
	locked, written := in["BEGIN"], in["INSERT INTO orders"]
	if locked == "" || written == "" || locked == written || in["COMMIT"] != written || in["INSERT INTO order_items"] != written ||
		in["UPDATE products p"] != written {
		tr.t.Errorf("statements are not in two batches: %v", in)
	}
	for _, id := range []string{locked, written} {
		tr.child(group, "merchstore-db", "CLIENT", func(s otlp.Span) bool { return s.ID == id })
	}
}

func TestClientsCannotForceTracing(t *testing.T) {
	t.Parallel()
	receiver := otlp.Receive(t)
	for name, env := range map[string]map[string]string{
		"with a sample ratio of 0": {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.URL(), "OTEL_TRACES_SAMPLER_ARG": "0"},
		"with tracing disabled":    {"OTEL_TRACES_SAMPLER_ARG": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *stack.Options) { o.Env = map[string]map[string]string{"": env} })
			s.signUp("12113053", "peter")
			requestID := s.buy(s.login("peter"))
			logFile := s.Process(stack.API).LogFile
			s.finish()
			if spans := receiver.Spans(); len(spans) > 0 {
				t.Errorf("%d spans were sent, the first is %+v", len(spans), spans[0])
			}
			if r := s.record(requestID); r.Headers["trace_id"] != "" {
				t.Errorf("headers of the record are %v", r.Headers)
			}
			if id := loggedTrace(t, logFile, requestID); id != "" {
				t.Errorf("the API's log names trace %s", id)
			}
		})
	}
}

func TestCollectorOutage(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *stack.Options) {
		o.Env = map[string]map[string]string{"": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER_ARG": "1"}}
	})
	s.signUp("12113053", "peter")
	s.buy(s.login("peter"))
	logFile := s.Process(stack.API).LogFile
	s.finish() // fails the test if a process had to be killed, or ended with an error
	if log, err := os.ReadFile(logFile); err != nil || !bytes.Contains(log, []byte("traces were not exported before shutdown")) {
		t.Errorf("the API's log does not report that traces were dropped: %v\n%s", err, log)
	}
}
