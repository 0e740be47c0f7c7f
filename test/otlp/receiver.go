// Package otlp implements a small OpenTelemetry collector for tests: a real gRPC server on
// 127.0.0.1 that stores spans.
//
//	receiver := otlp.Receive(t)
//	… run something with OTEL_EXPORTER_OTLP_ENDPOINT set to receiver.URL(), and stop it, which flushes …
//	spans := receiver.Spans()
package otlp

import (
	"context"
	"encoding/hex"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // exporters may compress
)

// Span is a received span. Ids are hexadecimal, and integer attributes are formatted as decimal.
type Span struct {
	Service              string // service.name of its resource
	Name, Kind           string // Kind is for instance SERVER
	TraceID, ID          string
	Parent               string // empty for a root span
	Attributes, Resource map[string]string
	Links                []string // linked spans as trace/span, followed by ?state if there is a trace state
	Failed               bool
}

// Receiver stores spans. It is safe for concurrent use.
type Receiver struct {
	collectorpb.UnimplementedTraceServiceServer

	addr string

	mu    sync.Mutex
	spans []Span
}

// Receive starts a Receiver that is stopped when the test ends.
func Receive(t testing.TB) *Receiver {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start receiver of traces: %v", err)
	}
	r := &Receiver{addr: l.Addr().String()}
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, r)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Errorf("receive traces: %v", err)
		}
	})
	return r
}

// URL returns the value for OTEL_EXPORTER_OTLP_ENDPOINT.
func (r *Receiver) URL() string { return "http://" + r.addr }

// Spans returns the spans received so far.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Export implements TraceServiceServer.
func (r *Receiver) Export(_ context.Context, request *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, group := range request.GetResourceSpans() {
		resource := attributes(group.GetResource().GetAttributes())
		for _, scope := range group.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				r.spans = append(r.spans, newSpan(s, resource))
			}
		}
	}
	return new(collectorpb.ExportTraceServiceResponse), nil
}

func newSpan(s *tracepb.Span, resource map[string]string) Span {
	span := Span{
		Service: resource["service.name"], Resource: resource,
		Name: s.GetName(), Kind: s.GetKind().String()[len("SPAN_KIND_"):],
		TraceID: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		Attributes: attributes(s.GetAttributes()),
		Failed:     s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
	}
	for _, link := range s.GetLinks() {
		to := hex.EncodeToString(link.GetTraceId()) + "/" + hex.EncodeToString(link.GetSpanId())
		if state := link.GetTraceState(); state != "" {
			to += "?" + state
		}
		span.Links = append(span.Links, to)
	}
	return span
}

func attributes(list []*commonpb.KeyValue) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			m[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			m[a.GetKey()] = strconv.FormatInt(v.IntValue, 10)
		default:
			m[a.GetKey()] = a.GetValue().String()
		}
	}
	return m
}
