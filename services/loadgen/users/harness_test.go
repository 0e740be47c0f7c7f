package users_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/services/loadgen/client"
	"merchstore.io/merchstore/services/loadgen/users"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/stack"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(database.With(kafka.StopAfter(m), schema.Migrate))
}

const (
	limit = 3 * time.Minute
	// perSecond is more than a busy machine achieves: the rate limiter has its own tests.
	perSecond = 150
	customers = 3
)

// store is a store and the simulation that uses it.
type store struct {
	*stack.Stack

	t          *testing.T
	admin      string // token
	registry   *prometheus.Registry
	simulation *users.Simulation
	served     chan error // the result of Serve
}

// newStore starts a store without any account.
func newStore(t *testing.T) *store {
	t.Helper()
	broker := kafka.Shared(t)
	return &store{
		t: t, registry: prometheus.NewRegistry(), served: make(chan error, 1),
		Stack: stack.Start(t, stack.Options{DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1)}),
	}
}

// start starts a store that has an admin, and a simulation.
func start(t *testing.T) *store {
	t.Helper()
	s := newStore(t)
	s.admin = s.Account(t, "peter")
	s.simulate()
	return s
}

// simulate starts the simulation.
func (s *store) simulate() {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil))
	c, err := client.New(s.URL, perSecond, customers+1, log, s.registry)
	if err != nil {
		s.t.Fatal(err)
	}
	s.simulation = users.New(c, customers, perSecond, log)
	go func() { s.served <- s.simulation.Serve() }()
}

// stop stops the simulation within a process's default shutdown timeout.
func (s *store) stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 25*time.Second)
	defer cancel()
	if err := s.simulation.Stop(ctx); err != nil {
		s.t.Error(err)
	}
	if err := <-s.served; err != nil {
		s.t.Error(err)
	}
}

// requests returns the number of requests by action and outcome, such as "order: out_of_stock".
func (s *store) requests() map[string]float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "merchstore_loadgen_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			counts[labels["action"]+": "+labels["outcome"]] = m.GetCounter().GetValue()
		}
	}
	return counts
}

// total returns the number of requests with any of the outcomes, or of all requests.
func total(requests map[string]float64, outcomes ...client.Outcome) (n float64) {
	for name, count := range requests {
		_, outcome, _ := strings.Cut(name, ": ")
		if len(outcomes) == 0 || slices.Contains(outcomes, client.Outcome(outcome)) {
			n += count
		}
	}
	return n
}

// until waits until the requests meet a condition.
func (s *store) until(what string, condition func(requests map[string]float64) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !condition(s.requests()) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			s.t.Fatalf("waited %s for %s; requests so far: %v", limit, what, s.requests())
		}
	}
}

type product struct {
	Name  string
	Stock int
	Owner string `json:"owner_sid"`
}

func (s *store) products() map[string]product {
	s.t.Helper()
	found := map[string]product{}
	for _, p := range get[struct{ Products []product }](s, "/api/v1/products?limit=200").Products {
		found[p.Name] = p
	}
	return found
}

type user struct {
	SID, Username string
	Active        bool
}

func (s *store) users() []user {
	s.t.Helper()
	return get[struct{ Users []user }](s, "/api/v1/users?limit=200").Users
}

// get sends a GET request as the admin.
func get[T any](s *store, path string) (v T) {
	s.t.Helper()
	status, body, err := s.Do(s.t.Context(), http.MethodGet, path, s.admin, nil)
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET %s: %v, status %d: %s", path, err, status, body)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		s.t.Fatal(err)
	}
	return v
}
