package crowd_test

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
	"merchstore.io/merchstore/services/shoppers/client"
	"merchstore.io/merchstore/services/shoppers/crowd"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/stack"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(database.With(kafka.StopAfter(m), schema.Migrate))
}

const (
	limit = 3 * time.Minute
	// perSecond is more than the machine manages while it is busy: the pace has tests of its own.
	perSecond = 150
	shoppers  = 3
)

// street is a store with people in front of it.
type street struct {
	*stack.Stack

	t        *testing.T
	admin    string // token
	registry *prometheus.Registry
	crowd    *crowd.Crowd
	served   chan error
}

// build makes a store without any account.
func build(t *testing.T) *street {
	t.Helper()
	broker := kafka.Shared(t)
	return &street{
		t: t, registry: prometheus.NewRegistry(), served: make(chan error, 1),
		Stack: stack.Start(t, stack.Options{DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1)}),
	}
}

// open opens a store and lets people in. Its admin is not one of them.
func open(t *testing.T) *street {
	t.Helper()
	s := build(t)
	s.admin = s.Account(t, "peter")
	s.visit()
	return s
}

// visit lets people in.
func (s *street) visit() {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil))
	store, err := client.New(s.URL, perSecond, shoppers+1, log, s.registry)
	if err != nil {
		s.t.Fatal(err)
	}
	s.crowd = crowd.New(store, shoppers, perSecond, log)
	go func() { s.served <- s.crowd.Serve() }()
}

// leave sends the people home, within the time that a process has for that.
func (s *street) leave() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 25*time.Second)
	defer cancel()
	if err := s.crowd.Stop(ctx); err != nil {
		s.t.Error(err)
	}
	if err := <-s.served; err != nil {
		s.t.Error(err)
	}
}

// actions are how often what came of what, as "order: sold_out".
func (s *street) actions() map[string]float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "merchstore_shoppers_actions_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			found[labels["action"]+": "+labels["outcome"]] = m.GetCounter().GetValue()
		}
	}
	return found
}

// total counts actions with any of the outcomes, or all without one.
func total(actions map[string]float64, outcomes ...client.Outcome) (n float64) {
	for name, count := range actions {
		_, outcome, _ := strings.Cut(name, ": ")
		if len(outcomes) == 0 || slices.Contains(outcomes, client.Outcome(outcome)) {
			n += count
		}
	}
	return n
}

// until waits for what people do to come true.
func (s *street) until(what string, is func(map[string]float64) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !is(s.actions()) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			s.t.Fatalf("waited %s for %s; until then: %v", limit, what, s.actions())
		}
	}
}

type product struct {
	Name  string
	Stock int
	Owner string `json:"owner_sid"`
}

func (s *street) products() map[string]product {
	s.t.Helper()
	found := map[string]product{}
	for _, p := range ask[struct{ Products []product }](s, "/api/v1/products?limit=200").Products {
		found[p.Name] = p
	}
	return found
}

type user struct {
	SID, Username string
	Active        bool
}

func (s *street) users() []user {
	s.t.Helper()
	return ask[struct{ Users []user }](s, "/api/v1/users?limit=200").Users
}

// ask gets something as the admin.
func ask[T any](s *street, path string) (v T) {
	s.t.Helper()
	status, answer, err := s.Do(s.t.Context(), http.MethodGet, path, s.admin, nil)
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET %s: %v, status %d: %s", path, err, status, answer)
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		s.t.Fatal(err)
	}
	return v
}
