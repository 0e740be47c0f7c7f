package logstream_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"merchstore.io/merchstore/internal/logstream"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a logging service whose streams are served by the test.
type service struct {
	merchstorev1.UnimplementedLoggingServiceServer
	streams chan stream
	reached chan struct{} // closed once the service is reachable
}

type serverStream = grpc.BidiStreamingServer[merchstorev1.WriteLogsRequest, merchstorev1.WriteLogsResponse]

type stream struct {
	serverStream
	end chan error
}

func (s *service) WriteLogs(ss serverStream) error {
	st := stream{ss, make(chan error, 1)}
	select {
	case s.streams <- st:
	case <-ss.Context().Done():
		return nil
	}
	select {
	case err := <-st.end:
		return err
	case <-ss.Context().Done():
		return nil
	}
}

// next receives n messages.
func (s stream) next(t *testing.T, n int) []*merchstorev1.LogMessage {
	t.Helper()
	var got []*merchstorev1.LogMessage
	for len(got) < n {
		request, err := s.Recv()
		if err != nil {
			t.Errorf("after %d of %d messages: %v", len(got), n, err)
			return got
		}
		got = append(got, request.GetMessages()...)
	}
	return got
}

func (s stream) acknowledge(t *testing.T, messages ...*merchstorev1.LogMessage) {
	t.Helper()
	if err := s.Send(&merchstorev1.WriteLogsResponse{StoredIds: ids(messages)}); err != nil {
		t.Error(err)
	}
}

// acknowledgeAll acknowledges all messages until the stream ends.
func (s stream) acknowledgeAll() {
	for {
		request, err := s.Recv()
		if err != nil {
			return
		}
		if err := s.Send(&merchstorev1.WriteLogsResponse{StoredIds: ids(request.GetMessages())}); err != nil {
			return
		}
	}
}

func serve(t testing.TB) (*service, grpc.ClientConnInterface) {
	t.Helper()
	s := &service{streams: make(chan stream), reached: make(chan struct{})}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	merchstorev1.RegisterLoggingServiceServer(server, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			select {
			case <-s.reached:
				return listener.DialContext(ctx)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); server.Stop(); serving.Wait() })
	return s, conn
}

type fixture struct {
	*logstream.Client
	service *service
	metrics *prometheus.Registry
}

func start(t testing.TB, o logstream.Options) *fixture {
	t.Helper()
	s, conn := serve(t)
	f := &fixture{service: s, metrics: prometheus.NewRegistry()}
	o.Service, o.Pod = "REST API", "api-0"
	f.Client = logstream.New(conn, o, f.metrics, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // tests that need acknowledgements close the client themselves
		_ = f.Close(ctx)
	})
	return f
}

// open makes the service reachable. Messages logged before are sent as one batch.
func (f *fixture) open(t testing.TB) stream {
	t.Helper()
	close(f.service.reached)
	return await(t, f.service.streams)
}

// values returns the client's metrics by name and label.
func (f *fixture) values(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func (f *fixture) expect(t *testing.T, want map[string]float64) {
	t.Helper()
	values := f.values(t)
	for name, value := range want {
		if values[name] != value {
			t.Errorf("%s is %v, want %v", name, values[name], value)
		}
	}
}

// wait waits until a metric has the given value.
func (f *fixture) wait(t *testing.T, name string, want float64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); f.values(t)[name] != want; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s is %v, want %v", name, f.values(t)[name], want)
		}
	}
}

func await[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("no value within 30 seconds")
		panic("unreachable")
	}
}

func message(id string) *merchstorev1.LogMessage { return &merchstorev1.LogMessage{Id: id} }

func ids(messages []*merchstorev1.LogMessage) []string {
	all := make([]string, len(messages))
	for i, m := range messages {
		all[i] = m.GetId()
	}
	return all
}
