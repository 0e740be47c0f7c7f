package tracing_test

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/tracing"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/otlp"
)

// catalogue is a DBService with one method, which returns the trace id of its context as the
// product's name, or an error for the ids missing and broken.
type catalogue struct {
	merchstorev1.UnimplementedDBServiceServer
}

const (
	missing = 404
	broken  = 500
)

func (catalogue) GetProduct(ctx context.Context, r *merchstorev1.GetProductRequest) (*merchstorev1.GetProductResponse, error) {
	switch r.GetId() {
	case missing:
		return nil, status.Error(codes.NotFound, "Product 404 not found")
	case broken:
		return nil, status.Error(codes.Internal, "something went wrong on our side")
	}
	id, _ := tracing.SampledTraceID(ctx)
	return &merchstorev1.GetProductResponse{Product: &merchstorev1.Product{Name: id}}, nil
}

// connect serves a catalogue and returns a connection to it.
func connect(t testing.TB, caller, server *tracing.Tracing) *grpc.ClientConn {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(server.ServerOption())
	merchstorev1.RegisterDBServiceServer(s, catalogue{})
	healthpb.RegisterHealthServer(s, health.NewServer())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), caller.DialOption())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.GracefulStop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func open(t testing.TB, endpoint, service string, ratio float64) *tracing.Tracing {
	t.Helper()
	traces, err := tracing.New(context.Background(), tracing.Settings{Endpoint: endpoint, Ratio: ratio}, service, service+"-0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return traces
}

func TestServerFollowsTheSamplingDecisionOfItsCaller(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ratio float64 // of the caller
		want  []string
	}{
		"sampled caller": {1, []string{
			"merchstore-api CLIENT merchstore.v1.DBService/GetProduct OK", "merchstore-api INTERNAL request ", "merchstore-db SERVER merchstore.v1.DBService/GetProduct OK",
		}},
		"unsampled caller": {0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := otlp.Receive(t)
			api, db := open(t, receiver.URL(), "api", test.ratio), open(t, receiver.URL(), "db", 1)
			conn := connect(t, api, db)
			if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil {
				t.Fatal(err) // a call outside of any trace
			}
			ctx, request := t.Context(), trace.SpanFromContext(t.Context())
			if api.Choose() {
				ctx, request = api.Tracer("test").Start(ctx, "request")
			}
			answer, err := merchstorev1.NewDBServiceClient(conn).GetProduct(ctx, new(merchstorev1.GetProductRequest))
			request.End()
			if err != nil {
				t.Fatal(err)
			}
			for _, traces := range []*tracing.Tracing{api, db} {
				if err := traces.Component().Stop(t.Context()); err != nil {
					t.Error(err)
				}
			}
			var got []string
			for _, s := range receiver.Spans() {
				got = append(got, strings.Join([]string{s.Service, s.Kind, s.Name, s.Attributes["rpc.response.status_code"]}, " "))
				if s.TraceID != answer.GetProduct().GetName() {
					t.Errorf("span is %+v, the call was in trace %q", s, answer.GetProduct().GetName())
				}
			}
			if slices.Sort(got); !slices.Equal(got, test.want) {
				t.Errorf("spans of %v, want %v", got, test.want)
			}
		})
	}
}

func TestErrorOfTheCallerFailsOnlyItsOwnSpan(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		id             int32
		code           string
		client, server bool // whether the span has status Error
	}{
		"success":        {1, "OK", false, false},
		"not found":      {missing, "NOT_FOUND", true, false},
		"internal error": {broken, "INTERNAL", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := otlp.Receive(t)
			traces := open(t, receiver.URL(), "db", 1)
			ctx, request := traces.Tracer("test").Start(t.Context(), "request")
			_, _ = merchstorev1.NewDBServiceClient(connect(t, traces, traces)).GetProduct(ctx, &merchstorev1.GetProductRequest{Id: test.id})
			request.End()
			if err := traces.Component().Stop(t.Context()); err != nil {
				t.Error(err)
			}
			for _, s := range receiver.Spans() {
				switch {
				case s.Kind == "CLIENT" && s.Failed != test.client, s.Kind == "SERVER" && s.Failed != test.server,
					s.Kind != "INTERNAL" && s.Attributes["rpc.response.status_code"] != test.code:
					t.Errorf("span is %+v", s)
				}
			}
			if n := len(receiver.Spans()); n != 3 {
				t.Errorf("%d spans, want 3", n)
			}
		})
	}
}

func BenchmarkCall(b *testing.B) {
	for name, ratio := range map[string]float64{"off": -1, "on, and not recorded": 0, "recorded": 1} {
		b.Run(name, func(b *testing.B) {
			api, db := new(tracing.Tracing), new(tracing.Tracing)
			if ratio >= 0 {
				receiver := otlp.Receive(b)
				api, db = open(b, receiver.URL(), "api", ratio), open(b, receiver.URL(), "db", ratio)
			}
			client := merchstorev1.NewDBServiceClient(connect(b, api, db))
			b.ReportAllocs()
			for b.Loop() {
				ctx, request := b.Context(), trace.SpanFromContext(b.Context())
				if api.Choose() {
					ctx, request = api.Tracer("test").Start(ctx, "request")
				}
				if _, err := client.GetProduct(ctx, new(merchstorev1.GetProductRequest)); err != nil {
					b.Fatal(err)
				}
				request.End()
			}
			for _, traces := range []*tracing.Tracing{api, db} {
				if err := traces.Component().Stop(b.Context()); err != nil {
					b.Error(err)
				}
			}
		})
	}
}
