//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"merchstore.io/merchstore/internal/mtls"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// services have a certificate, in a Secret of their name and "-tls".
var services = []string{"store-api", "store-db", "store-logging"}

// renewals removes the certificates of all services and of Kafka, twice. The operator issues new ones,
// and pods use them without a restart.
func renewals(c cluster, _ *traffic) {
	c.settleStore() // the autoscaler may just have added pods
	var pods []string
	for _, service := range services {
		pods = append(pods, c.pods(service)...)
	}
	ends := func() map[string]float64 {
		found := map[string]float64{}
		for _, pod := range pods {
			found[pod] = c.sum(pod, "merchstore_tls_certificate_expiry_timestamp_seconds", nil)
		}
		found["store-kafka-0"] = float64(c.served("store-kafka-0", "9092").NotAfter.Unix())
		return found
	}
	for range 2 {
		before := ends()
		for _, service := range append(services, "store-kafka") {
			c.kubectl("patch", "secret", service+"-tls", "--type=json", `--patch=[{"op":"remove","path":"/data/tls.crt"}]`)
		}
		c.eventually("all pods have another certificate", func() bool {
			for pod, end := range ends() {
				if end <= before[pod] {
					return false
				}
			}
			return true
		})
	}
}

// served returns the certificate of a pod's port.
func (c cluster) served(pod, port string) *x509.Certificate {
	c.t.Helper()
	url, end := c.forward("pod/"+pod, port)
	defer end()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "http://"), &tls.Config{InsecureSkipVerify: true}) //nolint:noctx // on this machine
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// secrecy captures the traffic of all nodes while new customers sign up, log in and buy.
func secrecy(t *testing.T) {
	words := startCapture(t, password, "buyer-", "Hoodie", "eyJ") // passwords, orders, and tokens
	s := openShop(t, cluster{t: t})
	s.open()
	cluster{t: t}.eventually("a thousand requests", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.requests > 1000
	})
	s.close()
	words.check(t)
}

// strangers calls the DB and the logging service without a certificate, and with that of the API.
func strangers(t *testing.T) {
	c := cluster{t: t}
	api, err := mtls.Load(mtls.Settings{Dir: c.certificate("store-api")}, client.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.ParseKeys(c.kubectl("get", "secret", "store-jwt", "--template={{ .data.keys | base64decode }}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		service, port string
		credentials   credentials.TransportCredentials
		call          func(context.Context, *grpc.ClientConn) error
		want          codes.Code
	}{
		"the DB service without a certificate":      {"store-db", "50051", insecure.NewCredentials(), products, codes.Unavailable},
		"the DB service with the API's certificate": {"store-db", "50051", api.ClientCredentials(), products, codes.Unauthenticated}, // there is no token
		"the logging service without a certificate": {"store-logging", "50052", insecure.NewCredentials(), write(keys, "REST API"), codes.Unavailable},
		"the log as the API, with its certificate":  {"store-logging", "50052", api.ClientCredentials(), write(keys, "REST API"), codes.OK},
		"the log as the DB service, with the API's": {"store-logging", "50052", api.ClientCredentials(), write(keys, "DB service"), codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			url, end := cluster{t: t}.forward("pod/"+c.pods(tt.service)[0], tt.port)
			defer end()
			conn, err := grpc.NewClient(strings.TrimPrefix(url, "http://"), grpc.WithTransportCredentials(tt.credentials), grpc.WithAuthority(tt.service))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if err := tt.call(ctx, conn); status.Code(err) != tt.want {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func products(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := merchstorev1.NewDBServiceClient(conn).ListProducts(ctx, new(merchstorev1.ListProductsRequest))
	return err
}

// write returns a function that writes a log message in the name of a service.
func write(keys *token.Keys, name string) func(context.Context, *grpc.ClientConn) error {
	return func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := merchstorev1.NewLoggingServiceClient(conn).StreamLogs(ctx, grpc.PerRPCCredentials(token.Service{Keys: keys, Name: name, Pod: "test"}))
		if err != nil {
			return err
		}
		_ = stream.Send(&merchstorev1.LogMessage{Text: "a test of certificates"}) // CloseAndRecv has the error
		_, err = stream.CloseAndRecv()
		return err
	}
}

// certificate returns a folder with the certificate of a service.
func (c cluster) certificate(service string) (dir string) {
	c.t.Helper()
	dir = c.t.TempDir()
	for _, file := range []string{"tls.crt", "tls.key", "ca.crt"} {
		content := c.kubectl("get", "secret", service+"-tls", fmt.Sprintf("--template={{ index .data %q | base64decode }}", file))
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return dir
}
