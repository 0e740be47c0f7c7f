package rpc_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"merchstore.io/merchstore/internal/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCallsAreCountedByMethodAndCodeOnBothSides(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	service := health.NewServer()
	s := grpc.NewServer(append(rpc.ServerMetrics(registry), grpc.WaitForHandlers(true))...)
	healthpb.RegisterHealthServer(s, service)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	conn, err := rpc.Dial("passthrough:///"+l.Addr().String(), rpc.DialOptions{}, rpc.NewClientMetrics(registry))
	if err != nil {
		t.Fatal(err)
	}
	client := healthpb.NewHealthClient(conn)

	for range 2 {
		if _, err := client.Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "nobody"}); err == nil {
		t.Fatal("an unknown service is healthy")
	}
	stream, err := client.Watch(t.Context(), new(healthpb.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { s.Stop(); close(stopped) }()
	if _, err := stream.Recv(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the stream has not ended: %v", err)
	}
	<-stopped
	if err := errors.Join(<-ended, conn.Close()); err != nil {
		t.Error(err)
	}

	want := map[string]float64{
		"grpc_server_handled_total unary Check OK":                  2,
		"grpc_server_handled_total unary Check NotFound":            1,
		"grpc_server_handled_total server_stream Watch Canceled":    2, // one of them from client-side health checking
		"grpc_client_handled_total unary Check OK":                  2,
		"grpc_client_handled_total unary Check NotFound":            1,
		"grpc_client_handled_total server_stream Watch Unavailable": 1,
		"grpc_server_handling_seconds unary Check":                  3,
		"grpc_server_handling_seconds server_stream Watch":          2,
	}
	if diff := cmp.Diff(want, gathered(t, registry)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// gathered returns the values of the metrics in docs/metrics.md, counts for histograms, by name,
// type, method and code.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if !strings.HasSuffix(f.GetName(), "_handled_total") && !strings.HasSuffix(f.GetName(), "_handling_seconds") {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			key := f.GetName() + " " + labels["grpc_type"] + " " + labels["grpc_method"]
			if code := labels["grpc_code"]; code != "" {
				key += " " + code
			}
			got[key] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}
