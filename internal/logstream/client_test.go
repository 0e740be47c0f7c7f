package logstream_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/rpc"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a logging service whose streams are worked by the test.
type service struct {
	merchstorev1.UnimplementedLoggingServiceServer
	streams chan stream
	reached chan struct{} // closed once the service can be reached
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

// next reads until n messages have come.
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

// acknowledgeAll answers whatever comes until the stream ends.
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
		cancel() // the tests that want everything acknowledged close it themselves
		_ = f.Close(ctx)
	})
	return f
}

// open lets the client reach the service: what was logged before goes out together. Messages that come one by one wait
// for the answer to those before them.
func (f *fixture) open(t testing.TB) stream {
	t.Helper()
	close(f.service.reached)
	return await(t, f.service.streams)
}

func TestAMessageCarriesWhatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{})
	before := time.Now()
	f.Error(rpc.WithRequestID(t.Context(), "r1"), "it broke")
	m := f.open(t).next(t, 1)[0]
	if m.GetService() != "REST API" || m.GetPod() != "api-0" || m.GetText() != "it broke" || m.GetRequestId() != "r1" ||
		m.GetLevel() != merchstorev1.LogLevel_LOG_LEVEL_ERROR || m.GetTime().AsTime().Before(before) {
		t.Errorf("got %v", m)
	}
	if id := m.GetId(); len(id) != 36 || id[14] != '7' {
		t.Errorf("id %q is no UUIDv7", id)
	}
}

func TestWhatWasNotAcknowledgedIsSentAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{
		"the service stopped in an orderly way": nil,
		"the service is away":                   status.Error(codes.Unavailable, "away"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, logstream.Options{})
			for i := range 5 {
				f.Info(t.Context(), fmt.Sprint(i))
			}
			first := f.open(t)
			sent := first.next(t, 5)
			first.acknowledge(t, sent[0], sent[3]) // out of order
			f.wait(t, "log_messages_acknowledged_total", 2)
			first.end <- end

			second := await(t, f.service.streams)
			again := second.next(t, 3)
			if want := ids([]*merchstorev1.LogMessage{sent[1], sent[2], sent[4]}); !slices.Equal(ids(again), want) {
				t.Errorf("sent again %v, want %v", ids(again), want)
			}
			second.acknowledge(t, again...)
			if err := f.Close(t.Context()); err != nil {
				t.Error(err)
			}
			f.expect(t, map[string]float64{
				"log_messages_sent_total": 5, "log_messages_resent_total": 3, "log_messages_acknowledged_total": 5, "log_queue_depth": 0,
			})
		})
	}
}

func TestMessagesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	const n = 5000
	f := start(t, logstream.Options{})
	for i := range n {
		f.Info(t.Context(), fmt.Sprint(i))
	}
	got := f.open(t).next(t, n)
	for i, m := range got {
		if m.GetText() != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m.GetText())
		}
	}
	if !slices.IsSorted(ids(got)) {
		t.Error("ids do not grow")
	}
}

func TestTheNewestAreDroppedAndCountedWhenTheQueueIsFull(t *testing.T) {
	t.Parallel()
	const size, logged = 100, 1000
	f := start(t, logstream.Options{QueueSize: size})
	for i := range logged {
		f.Info(t.Context(), fmt.Sprint(i)) // nobody takes the stream, so nothing is acknowledged
	}
	f.expect(t, map[string]float64{"log_messages_dropped_total queue_full": logged - size, "log_queue_depth": size})

	s := f.open(t)
	got := s.next(t, size)
	if last := got[size-1].GetText(); last != fmt.Sprint(size-1) {
		t.Errorf("the last one kept is %s", last)
	}
	s.acknowledge(t, got...)
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	f.expect(t, map[string]float64{
		"log_messages_sent_total": size, "log_messages_acknowledged_total": size, "log_messages_dropped_total queue_full": logged - size,
	})
}

func TestTheQueueIsBoundedInBytesToo(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{QueueBytes: 1000})
	for range 5 {
		f.Info(t.Context(), strings.Repeat("x", 300))
	}
	f.expect(t, map[string]float64{"log_messages_dropped_total queue_full": 2, "log_queue_depth": 3})
}

func TestARefusedMessageIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{})
	f.Info(t.Context(), "")
	s := f.open(t)
	id := s.next(t, 1)[0].GetId()
	if err := s.Send(&merchstorev1.WriteLogsResponse{Refused: []*merchstorev1.RefusedLog{{Id: id, Reason: "empty"}}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	f.expect(t, map[string]float64{"log_messages_dropped_total refused": 1, "log_messages_acknowledged_total": 0})
}

func TestCloseDropsAndCountsWhatIsNotAcknowledgedInTime(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{})
	f.Info(t.Context(), "1")
	f.Info(t.Context(), "2")
	f.open(t).next(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := f.Close(ctx); err == nil || !strings.Contains(err.Error(), "2 log messages were not acknowledged") {
		t.Errorf("%v", err)
	}
	f.Info(t.Context(), "too late")
	f.expect(t, map[string]float64{"log_messages_dropped_total shutdown": 3})
}

func TestMessagesThatComeOneByOneWaitForTheAnswerToThoseBefore(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{})
	f.Info(t.Context(), "alone")
	s := f.open(t)
	alone := s.next(t, 1)
	for i := range 10 {
		f.Info(t.Context(), fmt.Sprint(i))
	}
	s.acknowledge(t, alone...)
	request, err := s.Recv()
	if err != nil || len(request.GetMessages()) != 10 {
		t.Fatalf("%d messages came together, %v; want 10", len(request.GetMessages()), err)
	}

	for i := range 64 { // enough to go without waiting
		f.Info(t.Context(), fmt.Sprint(i))
	}
	s.next(t, 64)
}

func TestAcknowledgementsOfUnknownMessagesAreIgnored(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{})
	f.Info(t.Context(), "1")
	s := f.open(t)
	m := s.next(t, 1)[0]
	s.acknowledge(t, message("never ours"), message(""), m, m)
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	f.expect(t, map[string]float64{"log_messages_acknowledged_total": 1})
}

func TestHostileTextsAreMadeFitToSend(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{})
	f.Info(t.Context(), "a\xffb")
	f.Info(t.Context(), strings.Repeat("é", 100_000))
	f.Info(t.Context(), strings.Repeat("x\xff", 40_000))
	f.Info(rpc.WithRequestID(t.Context(), strings.Repeat("x", 129)), "strange request id")
	f.Info(rpc.WithRequestID(t.Context(), "\xff"), "another")
	got := f.open(t).next(t, 5)
	if got[0].GetText() != "a\uFFFDb" {
		t.Errorf("%q", got[0].GetText())
	}
	for _, m := range got[1:3] {
		if n := len(m.GetText()); n > 65536 || n < 65500 || !strings.HasSuffix(m.GetText(), "… (cut)") {
			t.Errorf("%d bytes, ending in %q", n, m.GetText()[n-20:])
		}
	}
	if got[3].GetRequestId() != "" || got[4].GetRequestId() != "" {
		t.Error("a strange request id was sent")
	}
}

func TestLoggingNeverWaits(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{QueueSize: 1000})
	const writers, each = 64, 1000
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range each {
				f.Info(t.Context(), "x")
			}
		})
	}
	writing.Wait() // although nobody takes the stream
	f.expect(t, map[string]float64{"log_messages_dropped_total queue_full": writers*each - 1000})
}

func TestEverythingLoggedFromManyGoroutinesArrivesOnce(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{})
	const writers, each = 64, 500
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				f.Info(t.Context(), fmt.Sprint(w, i))
			}
		})
	}
	s := f.open(t)
	seen := map[string]bool{}
	for len(seen) < writers*each {
		for _, m := range s.next(t, 1) {
			if seen[m.GetText()] {
				t.Fatalf("%s came twice", m.GetText())
			}
			seen[m.GetText()] = true
			s.acknowledge(t, m)
		}
	}
	writing.Wait()
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	f.expect(t, map[string]float64{"log_messages_sent_total": writers * each, "log_messages_acknowledged_total": writers * each})
}

func BenchmarkLog(b *testing.B) {
	f := start(b, logstream.Options{QueueSize: 1 << 20})
	var serving sync.WaitGroup
	serving.Go(func() { f.open(b).acknowledgeAll() })
	ctx := rpc.WithRequestID(b.Context(), "0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071")
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.Info(ctx, "User 'peter' access place order endpoint")
		}
	})
	b.StopTimer()
	_ = f.Close(context.Background())
	serving.Wait()
}

func BenchmarkLogAlone(b *testing.B) {
	f := start(b, logstream.Options{QueueSize: b.N + 1, QueueBytes: 1 << 40})
	ctx := rpc.WithRequestID(b.Context(), "0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.Info(ctx, "User 'peter' access place order endpoint")
		}
	})
}

// values are the client's metrics by name and label.
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

// wait waits until a metric has a value.
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
		t.Fatal("nothing came within 30 seconds")
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
