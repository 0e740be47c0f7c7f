package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/rpcserver"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/certificates"
)

func TestOnlyExpectedCallersReachAnEncryptedService(t *testing.T) {
	authority, err := certificates.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	own, err := mtls.Load(mtls.Settings{Dir: authority.Folder(t, "db")}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rpcserver.New(t.Context(), "127.0.0.1:0", rpcserver.Settings{}, rpcserver.Options{Identity: own}, nil, nil); err == nil {
		t.Error("a server that nobody may call is started")
	}
	s := start(t, func(s *Settings) {
		s.TLS.Dir, s.RPC.Callers = authority.Folder(t, "db"), []string{certificates.URI("api"), certificates.URI("logging")}
	})
	for name, c := range map[string]struct {
		dir  string
		want codes.Code // Unauthenticated is the response of the service: there is no token
	}{
		"the API":             {authority.Folder(t, "api"), codes.Unauthenticated},
		"the logging service": {authority.Folder(t, "logging"), codes.Unauthenticated},
		"a caller of the store that has nothing to ask here": {authority.Folder(t, "loadgen"), codes.Unavailable},
		"a caller without a certificate":                     {"", codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			identity, err := mtls.Load(mtls.Settings{Dir: c.dir}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			conn, err := rpc.Dial(strings.Replace(s.conn.Target(), "127.0.0.1", "localhost", 1), rpc.DialOptions{
				Service: merchstorev1.DBService_ServiceDesc.ServiceName, Identity: identity,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, err = merchstorev1.NewDBServiceClient(conn).ListProducts(t.Context(), &merchstorev1.ListProductsRequest{})
			if got := status.Code(err); got != c.want {
				t.Errorf("got %v (%v), want %v", got, err, c.want)
			}
		})
	}
}
