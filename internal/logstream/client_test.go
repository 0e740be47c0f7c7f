package logstream_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/rpc"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

func TestMessageHasAllFields(t *testing.T) {
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

func TestMessageNamesItsSpanIfSampled(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{})
	in := func(flags trace.TraceFlags) context.Context {
		return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: flags,
		}))
	}
	f.Info(t.Context(), "in no trace")
	f.Info(in(0), "in one that is not recorded")
	f.Info(in(trace.FlagsSampled), "in one that is")
	var got []string
	for _, m := range f.open(t).next(t, 3) {
		got = append(got, m.GetTraceId()+"/"+m.GetSpanId())
	}
	if want := []string{"/", "/", "01000000000000000000000000000000/0200000000000000"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUnacknowledgedMessagesAreSentAgainWithTheSameID(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{
		"the service stopped gracefully": nil,
		"the service is unavailable":     status.Error(codes.Unavailable, "away"),
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
			f.wait(t, "merchstore_log_messages_acknowledged_total", 2)
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
				"merchstore_log_messages_sent_total": 5, "merchstore_log_messages_resent_total": 3, "merchstore_log_messages_acknowledged_total": 5, "merchstore_log_queue_depth": 0,
			})
		})
	}
}

func TestMessagesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	const n = 10 * 512 // full batches do not wait for acknowledgements
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

func TestFullQueueDropsAndCountsNewMessages(t *testing.T) {
	t.Parallel()
	const size, logged = 100, 1000
	f := start(t, logstream.Options{QueueSize: size})
	for i := range logged {
		f.Info(t.Context(), fmt.Sprint(i)) // no stream is served, so nothing is acknowledged
	}
	f.expect(t, map[string]float64{"merchstore_log_messages_dropped_total queue_full": logged - size, "merchstore_log_queue_depth": size})

	s := f.open(t)
	got := s.next(t, size)
	if last := got[size-1].GetText(); last != fmt.Sprint(size-1) {
		t.Errorf("the last queued message is %s", last)
	}
	s.acknowledge(t, got...)
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	f.expect(t, map[string]float64{
		"merchstore_log_messages_sent_total": size, "merchstore_log_messages_acknowledged_total": size, "merchstore_log_messages_dropped_total queue_full": logged - size,
	})
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	f := start(t, logstream.Options{QueueBytes: 1000})
	for range 5 {
		f.Info(t.Context(), strings.Repeat("x", 300))
	}
	f.expect(t, map[string]float64{"merchstore_log_messages_dropped_total queue_full": 2, "merchstore_log_queue_depth": 3})
}

func TestRefusedMessageIsDroppedAndCounted(t *testing.T) {
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
	f.expect(t, map[string]float64{"merchstore_log_messages_dropped_total refused": 1, "merchstore_log_messages_acknowledged_total": 0})
}

func TestCloseDropsAndCountsUnacknowledgedMessages(t *testing.T) {
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
	f.expect(t, map[string]float64{"merchstore_log_messages_dropped_total shutdown": 3})
}

func TestSingleMessagesAreBatchedUntilTheNextAcknowledgement(t *testing.T) {
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
		t.Fatalf("batch of %d messages, %v; want 10", len(request.GetMessages()), err)
	}

	for i := range 512 { // a full batch is sent at once
		f.Info(t.Context(), fmt.Sprint(i))
	}
	request, err = s.Recv()
	if err != nil || len(request.GetMessages()) != 512 {
		t.Fatalf("batch of %d messages, %v; want 512", len(request.GetMessages()), err)
	}
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
	f.expect(t, map[string]float64{"merchstore_log_messages_acknowledged_total": 1})
}

func TestInvalidTextsAreSanitized(t *testing.T) {
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
		t.Error("an invalid request id was sent")
	}
}

func TestLogDoesNotBlock(t *testing.T) {
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
	writing.Wait() // although no stream is served
	f.expect(t, map[string]float64{"merchstore_log_messages_dropped_total queue_full": writers*each - 1000})
}

func TestConcurrentMessagesArriveOnce(t *testing.T) {
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
				t.Fatalf("%s arrived twice", m.GetText())
			}
			seen[m.GetText()] = true
			s.acknowledge(t, m)
		}
	}
	writing.Wait()
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	f.expect(t, map[string]float64{"merchstore_log_messages_sent_total": writers * each, "merchstore_log_messages_acknowledged_total": writers * each})
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
