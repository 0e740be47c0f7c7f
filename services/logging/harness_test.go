package main_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/logstream"
	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(kafka.StopAfter(m)) }

// limit bounds every wait. It is generous, for busy machines.
const limit = 2 * time.Minute

const (
	oldKey  = "old:0123456789abcdef0123456789abcdef"
	newKey  = "new:fedcba9876543210fedcba9876543210"
	jwtKeys = newKey + "," + oldKey
)

// service is a logging service running as a process, built with the race detector.
type service struct {
	addr, ops string
	path      string
	env       []string
	log       *os.File
	process   *subprocess.Process
	identity  *mtls.Identity // of those who call
}

// start runs a logging service on a topic. When the test ends it is stopped and must exit with code
// 0.
func start(t *testing.T, broker *kafka.Broker, topic string, env ...string) *service {
	t.Helper()
	programs, err := stack.Build(t.Context(), "logging")
	if err != nil {
		t.Fatal(err)
	}
	free, err := ports.Free(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{addr: address(free[0]), ops: address(free[1]), path: filepath.Join(programs, "logging")}
	s.env = append(os.Environ(), "JWT_KEYS="+jwtKeys, "GRPC_ADDR="+s.addr, "OPS_ADDR="+s.ops, "KAFKA_BROKERS="+broker.Addr(), "KAFKA_TOPIC="+topic, //nolint:forbidigo // PATH and the like
		"SHUTDOWN_TIMEOUT=20s")
	s.env = append(s.env, env...)
	if s.log, err = os.Create(filepath.Join(t.TempDir(), "logging.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Log(subprocess.Tail(s.log.Name(), 8<<10))
		}
		_ = s.log.Close()
	})
	s.launch(t)
	return s
}

func (s *service) launch(t *testing.T) {
	t.Helper()
	var err error
	if s.process, err = subprocess.Start(subprocess.Command{Path: s.path, Env: s.env, Output: s.log}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := s.process.AwaitReady(ctx, subprocess.Responds("http://"+s.ops+"/readyz")); err != nil {
		t.Fatalf("%v\n%s", err, subprocess.Tail(s.log.Name(), 8<<10))
	}
}

// stop sends SIGTERM and waits, as Kubernetes does.
func (s *service) stop(t *testing.T) {
	t.Helper()
	if s.process == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := s.process.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := s.process.Err(); err != nil {
		t.Errorf("the logging service ended with %v", err)
	}
	s.process = nil
}

// conn returns a connection of the API.
func (s *service) conn(t *testing.T) *grpc.ClientConn {
	t.Helper()
	return s.dial(t, token.Service{Keys: parseKeys(t, jwtKeys), Name: "REST API", Pod: "api-0"})
}

func parseKeys(t *testing.T, s string) *token.Keys {
	t.Helper()
	keys, err := token.ParseKeys(s)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (s *service) dial(t *testing.T, c credentials.PerRPCCredentials) *grpc.ClientConn {
	t.Helper()
	addr := strings.Replace(s.addr, "127.0.0.1", "localhost", 1) // the name in certificates
	conn, err := rpc.Dial(addr, rpc.DialOptions{Service: merchstorev1.LoggingService_ServiceDesc.ServiceName, Credentials: c, Identity: s.identity},
		rpc.NewClientMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (s *service) client(t *testing.T) merchstorev1.LoggingServiceClient {
	t.Helper()
	return merchstorev1.NewLoggingServiceClient(s.conn(t))
}

// logger returns the client that the store's services use.
func (s *service) logger(t *testing.T, o logstream.Options) (*logstream.Client, *prometheus.Registry) {
	t.Helper()
	o.Service, o.Pod = "REST API", "api-0"
	registry := prometheus.NewRegistry()
	client := logstream.New(s.conn(t), o, registry, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // tests that need acknowledgements call flush
		_ = client.Close(ctx)
	})
	return client, registry
}

// metric returns the value of one of the service's metrics.
func (s *service) metric(t *testing.T, name string) float64 {
	t.Helper()
	snapshot, err := metrics.Read(t.Context(), "http://"+s.ops)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Sum(name, nil)
}

// counters sums a registry's counters and gauges by name.
func counters(t *testing.T, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			values[family.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// until waits until is returns true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(limit); !is(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// flush closes a client, which waits until all messages are acknowledged.
func flush(t *testing.T, c *logstream.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// wantAll checks that a topic contains n numbered texts in order, ignoring duplicates.
func wantAll(t *testing.T, broker *kafka.Broker, topic string, n int) {
	t.Helper()
	next, ids := 0, map[string]bool{}
	for _, r := range broker.Records(t, topic, n) {
		if ids[r.Headers["id"]] {
			continue
		}
		ids[r.Headers["id"]] = true
		if _, text, _ := strings.Cut(r.Value, ": "); text != strconv.Itoa(next) {
			t.Fatalf("record %q, want text %d", r.Value, next)
		}
		next++
	}
	if next != n {
		t.Errorf("the topic has %d distinct messages, want %d", next, n)
	}
}

// accounts is a DBService with the users of these tests.
type accounts struct {
	merchstorev1.UnimplementedDBServiceServer
	users map[string]*merchstorev1.User
}

const (
	adminToken    = "Bearer admin"
	customerToken = "Bearer customer"
)

// startAccounts serves accounts of an admin and a customer.
func startAccounts(t *testing.T) (addr string) {
	t.Helper()
	a := &accounts{users: map[string]*merchstorev1.User{
		adminToken:    {Role: merchstorev1.Role_ROLE_ADMIN, Active: true},
		customerToken: {Role: merchstorev1.Role_ROLE_CUSTOMER, Active: true},
	}}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	merchstorev1.RegisterDBServiceServer(server, a)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return l.Addr().String()
}

func (a *accounts) GetUser(ctx context.Context, in *merchstorev1.GetUserRequest) (*merchstorev1.GetUserResponse, error) {
	headers := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(headers) != 1 || a.users[headers[0]] == nil || in.GetSid() != "" {
		return nil, status.Error(codes.Unauthenticated, fmt.Sprintf("no account for %q", headers))
	}
	return &merchstorev1.GetUserResponse{User: a.users[headers[0]]}, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
