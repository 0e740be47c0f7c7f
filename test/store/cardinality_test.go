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

// TestClientsCannotCreateTimeSeries: no value that a client chooses becomes a label.
func TestClientsCannotCreateTimeSeries(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("1", "peter")
	s.signUp("2", "yoga") // not an admin
	token := s.login("yoga")

	s.askAtRandom(token, 5000)
	first := s.series()
	s.askAtRandom(token, 5000)
	for name, n := range s.series() {
		// Some combinations of route and status may occur only in the second half.
		if grown := n - first[name]; grown > 30 {
			t.Errorf("%s has %d time series, %d more than after half of the requests", name, n, grown)
		}
		if n > 500 {
			t.Errorf("%s has %d time series", name, n)
		}
	}
}

// marker is part of every value that clients choose here.
const marker = "zq7x"

// askAtRandom sends n requests with random paths and methods, some of existing routes with random
// ids, and random gRPC calls.
func (s *store) askAtRandom(token string, n int) {
	s.t.Helper()
	const clients = 16
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range n / clients {
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
	for i := range 50 { // each with a new id
		word := fmt.Sprintf("%s%d", marker, i)
		status, _, err := s.Do(s.t.Context(), http.MethodPost, "/api/v1/products", token, map[string]any{"name": word, "category": word, "price": 1, "stock": i})
		if err != nil || status != http.StatusCreated {
			s.t.Fatalf("add a product: status %d, %v", status, err)
		}
	}
	for _, addr := range []string{s.DBAddr(), s.LoggingAddr()} {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			s.t.Fatal(err)
		}
		for range 100 {
			method := fmt.Sprintf("/%s%d/%s%d", marker, rand.N(1_000_000), marker, rand.N(1_000_000))
			if err := conn.Invoke(s.t.Context(), method, new(emptypb.Empty), new(emptypb.Empty)); err == nil {
				s.t.Errorf("%s succeeds", method)
			}
		}
		if err := conn.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// series counts the time series of each process, without histogram buckets. The test fails if a
// label contains the marker.
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
			if !strings.Contains(line, "_bucket{") { // every histogram has the same number
				count[process]++
			}
			if strings.Contains(strings.ToLower(line), marker) {
				s.t.Errorf("%s has a label that a client chose: %s", process, line)
			}
		}
	}
	s.t.Log(count)
	return count
}
