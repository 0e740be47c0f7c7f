package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/stack"
)

// TestClientsCannotMakeTimeSeries: whatever is asked for, the processes measure it under names that they chose themselves.
func TestClientsCannotMakeTimeSeries(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("1", "peter")
	token := s.login("peter")

	s.askAtRandom(token, 5000)
	first := s.series()
	s.askAtRandom(token, 5000)
	for name, n := range s.series() {
		// A route that is rarely hit may have had its first answer of a kind in the second half.
		if grown := n - first[name]; grown > 60 {
			t.Errorf("%s has %d time series, %d more than after half of the requests", name, n, grown)
		}
		if n > 2500 {
			t.Errorf("%s has %d time series", name, n)
		}
	}
}

// marker is in everything that clients make up here.
const marker = "zq7x"

// askAtRandom makes n requests to paths, with methods and for gRPC methods that nobody knows, and some that exist, with values that do not.
func (s *store) askAtRandom(token string, n int) {
	s.t.Helper()
	const askers = 16
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			for range n / askers {
				word := fmt.Sprintf("%s%d", marker, rand.N(1_000_000))
				paths := []string{
					"/" + word, "/api/v1/" + word, "/api/v1/users/" + word, "/api/v1/products/" + fmt.Sprint(rand.N(1_000_000)), "/api/v1/orders/" + word,
					"/pictures/" + word + "/" + word, "/api/v1/products?q=" + word, "/assets/" + word, "/" + word + "/" + word,
				}
				methods := []string{http.MethodGet, http.MethodGet, http.MethodGet, http.MethodPut, http.MethodDelete, strings.ToUpper(word)}
				path := paths[rand.N(len(paths))]
				method := methods[rand.N(len(methods))]
				status, _, err := s.Do(s.t.Context(), method, path, token, nil)
				if err != nil || status >= 500 && status != http.StatusNotImplemented {
					s.t.Errorf("%s %s: status %d, %v", method, path, status, err)
				}
			}
		})
	}
	wg.Wait()
	for _, addr := range []string{s.DBAddr(), s.LoggingAddr()} {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			s.t.Fatal(err)
		}
		for range 100 {
			method := fmt.Sprintf("/%s%d/%s%d", marker, rand.N(1_000_000), marker, rand.N(1_000_000))
			if err := conn.Invoke(s.t.Context(), method, new(emptypb.Empty), new(emptypb.Empty)); err == nil {
				s.t.Errorf("%s is answered", method)
			}
		}
		if err := conn.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// series counts each process's time series, and fails the test if a label holds what a client has made up.
func (s *store) series() map[string]int {
	s.t.Helper()
	count := map[string]int{}
	for _, process := range []string{stack.API, stack.DB, stack.Logging} {
		text, err := metrics.Text(context.WithoutCancel(s.t.Context()), s.OpsURL(process))
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			count[process]++
			if strings.Contains(strings.ToLower(line), marker) {
				s.t.Errorf("%s measures under a name that a client has made up: %s", process, line)
			}
		}
	}
	s.t.Log(count)
	return count
}
