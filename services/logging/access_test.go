package main_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/certificates"
	"merchstore.io/merchstore/test/kafka"
)

// header is a credential that sends a fixed token.
type header string

func (h header) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"service-token": string(h)}, nil
}

func (header) RequireTransportSecurity() bool { return false }

func TestOnlyTheStoresServicesWrite(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)
	s := start(t, broker, topic)
	keys := parseKeys(t, jwtKeys)
	user, err := keys.Sign(token.Account{ID: 1, SID: "s1", Username: "peter", Role: token.RoleAdmin}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	guest, err := keys.SignGuest(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		credentials credentials.PerRPCCredentials
		want        codes.Code
	}{
		"the signing key":      {token.Service{Keys: keys, Name: "DB service", Pod: "db-1"}, codes.OK},
		"a key that verifies":  {token.Service{Keys: parseKeys(t, oldKey), Name: "DB service", Pod: "db-1"}, codes.OK},
		"no token":             {nil, codes.Unauthenticated},
		"an admin's token":     {header(user), codes.Unauthenticated},
		"a guest's token":      {header(guest), codes.Unauthenticated},
		"an unknown key":       {token.Service{Keys: parseKeys(t, "new:"+strings.Repeat("x", 32)), Name: "DB service"}, codes.Unauthenticated},
		"a token without name": {token.Service{Keys: keys}, codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			client := merchstorev1.NewLoggingServiceClient(s.dial(t, test.credentials))
			stream, err := client.StreamLogs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// The other side of the stream stays open: a caller is refused before it has sent all.
			err = stream.Send(&merchstorev1.LogMessage{Service: "REST API", Pod: "api-0", Text: name})
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if test.want != codes.OK {
				err = stream.RecvMsg(new(merchstorev1.LogResponse))
			} else if _, err = stream.CloseAndRecv(); err == nil {
				records := broker.Records(t, topic, 1)
				r := records[len(records)-1]
				if !strings.Contains(r.Value, " - DB service: ") || r.Headers["service"] != "DB service" || r.Headers["pod"] != "db-1" {
					t.Errorf("the record claims another origin: %+v", r)
				}
			}
			if status.Code(err) != test.want {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
	if n := s.metric(t, "merchstore_logging_messages_received_total"); n != 2 {
		t.Errorf("%v messages were received, want those of the two services", n)
	}
}

// TestServicesWriteInTheirOwnName: all services have the keys that sign tokens.
func TestServicesWriteInTheirOwnName(t *testing.T) {
	t.Parallel()
	authority, err := certificates.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	broker := kafka.Shared(t)
	s := start(t, broker, broker.Topic(t, 1), "TLS_DIR="+authority.Folder(t, "logging"), "TLS_CALLERS="+certificates.URI("api")+","+certificates.URI("db"),
		"LOG_ANONYMOUS_WRITERS=true")
	s.identity, err = mtls.Load(mtls.Settings{Dir: authority.Folder(t, "api")}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]codes.Code{"REST API": codes.OK, "DB service": codes.Unauthenticated} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t, token.Service{Keys: parseKeys(t, jwtKeys), Name: name, Pod: "api-0"})
			stream, err := merchstorev1.NewLoggingServiceClient(conn).StreamLogs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&merchstorev1.LogMessage{Text: "with the certificate of the API"}); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if _, err := stream.CloseAndRecv(); status.Code(err) != want {
				t.Errorf("%v, want %v", err, want)
			}
		})
	}
}

func TestOnlyTheStoresServicesReadForAnAdmin(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	s := start(t, broker, broker.Topic(t, 1), "DB_SERVICE_ADDR="+startAccounts(t), "LOG_ANONYMOUS_WRITERS=true")
	stream, err := merchstorev1.NewLoggingServiceClient(s.dial(t, nil)).TailLogs(as(t, adminToken), new(merchstorev1.TailLogsRequest))
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v, want Unauthenticated", err)
	}
}

// Pods of a version without credentials write during an update, if the service is told so.
func TestWritersOfEarlierVersionsAreAcceptedIfConfigured(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	topic := broker.Topic(t, 1)
	s := start(t, broker, topic, "LOG_ANONYMOUS_WRITERS=true")
	stream, err := merchstorev1.NewLoggingServiceClient(s.dial(t, nil)).StreamLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&merchstorev1.LogMessage{Service: "REST API", Pod: "old-0", Text: "still here"}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	if r := broker.Records(t, topic, 1)[0]; r.Headers["service"] != "REST API" || r.Headers["pod"] != "old-0" {
		t.Errorf("%+v", r)
	}
}

func TestWritersMessagesAreLimited(t *testing.T) {
	t.Parallel()
	broker := kafka.Shared(t)
	stream, err := start(t, broker, broker.Topic(t, 1)).client(t).WriteLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var large merchstorev1.WriteLogsRequest
	for range 20 {
		large.Messages = append(large.Messages, &merchstorev1.LogMessage{Service: "A", Text: strings.Repeat("x", 1<<16)})
	}
	if err := stream.Send(&large); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("1.25 MiB: %v, want ResourceExhausted", err)
	}
}
