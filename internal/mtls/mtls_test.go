package mtls_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/test/certificates"
)

func TestServersAcceptExpectedCallers(t *testing.T) {
	ours, theirs := authority(t), authority(t)
	soon := time.Now().Add(time.Hour)
	addr := serve(t, identity(t, issue(t, ours, "db", soon)))

	for name, c := range map[string]struct {
		client credentials.TransportCredentials
		want   codes.Code
	}{
		"an expected caller":              {identity(t, issue(t, ours, "api", soon)).ClientCredentials(), codes.OK},
		"another service":                 {identity(t, issue(t, ours, "logging", soon)).ClientCredentials(), codes.Unavailable},
		"a certificate that has ended":    {identity(t, issue(t, ours, "api", time.Now().Add(-time.Minute))).ClientCredentials(), codes.Unavailable},
		"a caller with another authority": {identity(t, issue(t, theirs, "api", soon)).ClientCredentials(), codes.Unavailable},
		"a caller without a certificate":  {credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}), codes.Unavailable},
		"a caller that does not encrypt":  {insecure.NewCredentials(), codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			if got := check(t, addr, c.client); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestClientsVerifyTheServer(t *testing.T) {
	ours, soon := authority(t), time.Now().Add(time.Hour)
	addr := serve(t, identity(t, issue(t, ours, "db", soon)))
	client := identity(t, issue(t, ours, "api", soon)).ClientCredentials()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		addr    string
		options []grpc.DialOption
		want    codes.Code
	}{
		"by its name":    {addr: addr, want: codes.OK},
		"by its address": {addr: "127.0.0.1:" + port, want: codes.Unavailable},
		"by a name that is not in its certificate": {
			addr: addr, options: []grpc.DialOption{grpc.WithAuthority("logging")}, want: codes.Unavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := check(t, c.addr, client, c.options...); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestNewCertificatesAreUsedWithoutRestart(t *testing.T) {
	old, soon := authority(t), time.Now().Add(time.Hour)
	server, client := issue(t, old, "db", soon), issue(t, old, "api", soon)
	clientCredentials := identity(t, client).ClientCredentials()
	addr := serve(t, identity(t, server))
	if got := check(t, addr, clientCredentials); got != codes.OK {
		t.Fatalf("before: got %v, want OK", got)
	}
	renewed := authority(t)
	for dir, service := range map[string]string{server: "db", client: "api"} {
		if err := renewed.Issue(dir, service, soon); err != nil {
			t.Fatal(err)
		}
	}
	if got := check(t, addr, clientCredentials); got != codes.OK {
		t.Errorf("with certificates of a new authority: got %v, want OK", got)
	}
	if err := os.WriteFile(filepath.Join(server, "tls.key"), []byte("half a ke"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := check(t, addr, clientCredentials); got != codes.OK {
		t.Errorf("while a key is being replaced: got %v, want OK", got)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		file, content, want string
	}{
		"a key that is missing":             {"tls.key", "", "tls.key"},
		"a key of another certificate":      {"tls.key", "nonsense", "tls.key"},
		"authorities without a certificate": {"ca.crt", "nonsense", "ca.crt has no certificate"},
		"authorities that are missing":      {"ca.crt", "", "ca.crt"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := issue(t, authority(t), "api", time.Now().Add(time.Hour))
			path := filepath.Join(dir, c.file)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if c.content != "" {
				if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := mtls.Load(mtls.Settings{Dir: dir}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func authority(t *testing.T) *certificates.Authority {
	t.Helper()
	a, err := certificates.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *certificates.Authority, service string, end time.Time) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := a.Issue(dir, service, end); err != nil {
		t.Fatal(err)
	}
	return dir
}

func identity(t *testing.T, dir string) *mtls.Identity {
	t.Helper()
	i, err := mtls.Load(mtls.Settings{Dir: dir}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// serve starts a server for the API and returns its address on localhost.
func serve(t *testing.T, i *mtls.Identity) (addr string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(i.ServerCredentials([]string{certificates.URI("api")})))
	healthpb.RegisterHealthServer(server, health.NewServer())
	go func() {
		if err := server.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(server.Stop)
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "localhost:" + port
}

// check calls a server over a new connection.
func check(t *testing.T, addr string, client credentials.TransportCredentials, options ...grpc.DialOption) codes.Code {
	t.Helper()
	conn, err := grpc.NewClient("dns:///"+addr, append(options, grpc.WithTransportCredentials(client))...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	return status.Code(err)
}
