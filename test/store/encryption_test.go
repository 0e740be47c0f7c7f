package store

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/stack"
)

func TestRenewingCertificatesFailsNoRequest(t *testing.T) {
	t.Parallel()
	const age = time.Second // of a connection, after which the next one uses the new certificate
	s := start(t, func(o *stack.Options) {
		o.Encrypted = true
		o.Env = map[string]map[string]string{stack.DB: {"GRPC_MAX_CONNECTION_AGE": age.String()}, stack.Logging: {"GRPC_MAX_CONNECTION_AGE": age.String()}}
	})
	s.signUp("12113001", "renewer")
	token := s.login("renewer")
	var requests atomic.Int64
	var customers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		customers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, answer, err := s.Do(t.Context(), http.MethodGet, "/api/v1/products", token, nil)
				if err != nil || status != http.StatusOK {
					t.Errorf("%d %s %v", status, answer, err)
				}
				requests.Add(1)
			}
		})
	}
	for n := range 2 {
		before, end := requests.Load(), time.Now().Add(time.Duration(48+n)*time.Hour)
		renewed := time.Now()
		if err := s.IssueCertificates(end); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, 30*time.Second, "all services have another certificate, and new connections", func() bool {
			for _, service := range []string{stack.API, stack.DB, stack.Logging} {
				if s.metric(service, "merchstore_tls_certificate_expiry_timestamp_seconds") != int(end.Unix()) {
					return false
				}
			}
			return time.Since(renewed) > 3*age && requests.Load() > before+100
		})
	}
	close(stop)
	customers.Wait()
	t.Logf("%d requests", requests.Load())
}
