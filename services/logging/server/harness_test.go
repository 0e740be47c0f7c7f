package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/logging/record"
	"merchstore.io/merchstore/services/logging/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queued is a record that was put into the store and has no outcome yet.
type queued struct {
	value   string
	handler record.DeliveryHandler
}

// store is a server.Store whose outcomes are decided by the test.
type store struct {
	records chan queued
	put     func(r record.Record) error // if set, its error is returned by Put

	// mu serialises deliveries, as the producer's single goroutine does.
	mu    sync.Mutex
	flush func()
}

func (s *store) Put(r record.Record, handler record.DeliveryHandler) error {
	if s.put != nil {
		if err := s.put(r); err != nil {
			return err
		}
	}
	s.records <- queued{string(r.Value), handler}
	return nil
}

// deliver sets the outcome of the next n records.
func (s *store) deliver(t *testing.T, n int, err error) {
	t.Helper()
	for range n {
		s.deliverRecords(err, await(t, s.records))
	}
}

// deliverRecords sets the outcome of records that the test has taken already.
func (s *store) deliverRecords(err error, records ...queued) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		r.handler.HandleDelivery(err)
	}
	s.flush()
}

// deliverAll reports every record as stored until the test ends.
func (s *store) deliverAll(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case r := <-s.records:
				s.deliverRecords(nil, r)
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() { close(done); <-stopped })
}

// source is a server.Source that returns the messages sent to it by the test.
type source struct {
	messages chan record.Message
	ended    chan struct{}
}

func (s *source) Read(ctx context.Context, q record.Query, started func() error, each func(record.Message) error) error {
	defer close(s.ended)
	if err := started(); err != nil {
		return err
	}
	for {
		select {
		case m := <-s.messages:
			if m.Level != record.Unknown && !q.Matches(m) {
				continue
			}
			if err := each(m); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// accounts is a server.Accounts that maps authorization headers to users.
type accounts struct {
	mu    sync.Mutex
	users map[string]*merchstorev1.User
	err   error
	calls int
}

func (a *accounts) GetUser(ctx context.Context, in *merchstorev1.GetUserRequest, _ ...grpc.CallOption) (*merchstorev1.GetUserResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	out, _ := metadata.FromOutgoingContext(ctx)
	user, known := a.users[out.Get("authorization")[0]]
	switch {
	case a.err != nil:
		return nil, a.err
	case in.GetSid() != "" || !known:
		return nil, status.Error(codes.Unauthenticated, "no")
	}
	return &merchstorev1.GetUserResponse{User: user}, nil
}

func (a *accounts) set(token string, user *merchstorev1.User) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users[token] = user
}

// fail makes calls fail, unless err is nil, and returns the number of calls so far.
func (a *accounts) fail(err error) (calls int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
	return a.calls
}

type writeStream = grpc.BidiStreamingClient[merchstorev1.WriteLogsRequest, merchstorev1.WriteLogsResponse]

// fixture is a server with fake dependencies.
type fixture struct {
	client   merchstorev1.LoggingServiceClient
	store    *store
	source   *source
	accounts *accounts
	metrics  *prometheus.Registry
	stop     context.CancelFunc // signals that the server is stopping
}

func start(t *testing.T, change func(o *server.Options)) *fixture {
	t.Helper()
	stopping, stop := context.WithCancel(context.Background())
	f := &fixture{
		store:    &store{records: make(chan queued, 100_000)},
		source:   &source{messages: make(chan record.Message), ended: make(chan struct{})},
		accounts: &accounts{users: map[string]*merchstorev1.User{}},
		metrics:  prometheus.NewRegistry(),
		stop:     stop,
	}
	o := server.Options{
		Settings: server.Settings{Window: 16384, InFlightBytes: 64 << 20, MaxTails: 2},
		Store:    f.store, Source: f.source, Accounts: f.accounts,
		Stopping: stopping, DrainTimeout: time.Minute, Metrics: f.metrics, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	s := server.New(o)
	f.store.flush = s.FlushDeliveries

	listener := bufconn.Listen(1 << 20)
	grpcServer := grpc.NewServer()
	merchstorev1.RegisterLoggingServiceServer(grpcServer, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = grpcServer.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = conn.Close()
		grpcServer.Stop()
		serving.Wait()
	})
	f.client = merchstorev1.NewLoggingServiceClient(conn)
	return f
}

func (f *fixture) write(t *testing.T) writeStream {
	t.Helper()
	stream, err := f.client.WriteLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// receive reads the outcomes of n messages, or of fewer if the stream ends.
func receive(stream writeStream, n int) (stored []string, refused map[string]string, err error) {
	refused = map[string]string{}
	for len(stored)+len(refused) < n {
		response, err := stream.Recv()
		if err != nil {
			return stored, refused, err
		}
		stored = append(stored, response.GetStoredIds()...)
		for _, r := range response.GetRefused() {
			refused[r.GetId()] = r.GetReason()
		}
	}
	return stored, refused, nil
}

func wantEnd(t *testing.T, stream writeStream, want codes.Code) {
	t.Helper()
	_, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if got := status.Code(err); got != want {
		t.Errorf("the stream ended with %v (%v), want %v", got, err, want)
	}
}

// await returns the next value of c, or fails the test after a while.
func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("no value within 30 seconds")
		panic("unreachable")
	}
}

func message(id, text string) *merchstorev1.LogMessage {
	return &merchstorev1.LogMessage{Id: id, Service: "REST API", Text: text}
}
