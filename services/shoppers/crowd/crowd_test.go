package crowd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
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
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/stack"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(database.With(kafka.StopAfter(m), schema.Migrate))
}

const (
	limit = 3 * time.Minute
	// perSecond is more than the machine manages while it is busy: the pace has tests of its own.
	perSecond = 150
	shoppers  = 4
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

// open opens a store and lets people in. Its admin is not one of them.
func open(t *testing.T) *street {
	t.Helper()
	broker := kafka.Shared(t)
	s := &street{
		t: t, registry: prometheus.NewRegistry(), served: make(chan error, 1),
		Stack: stack.Start(t, stack.Options{DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1)}),
	}
	s.admin = s.Account(t, "peter")
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	store, err := client.New(s.URL, perSecond, shoppers+1, log, s.registry)
	if err != nil {
		t.Fatal(err)
	}
	s.crowd = crowd.New(store, shoppers, perSecond, log)
	go func() { s.served <- s.crowd.Serve() }()
	return s
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

// usual is what comes of what sooner or later, in a store that is well.
func usual() []string {
	return []string{
		"sign_up: done", "log_in: done", "log_in: refused", "browse: done", "search: done", "look: done", "look: not_modified",
		"look_at_picture: done", "fill_basket: done", "order: done", "order_twice: replayed", "order_rare: done", "order_rare: sold_out",
		"cancel: done", "cancel: refused", "look_at_orders: done", "mistype: refused",
		"merchant_look: done", "add_product: done", "restock: done",
	}
}

func TestPeopleDoEverythingThatPeopleDoAndLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	s := open(t)
	before := s.products()
	if len(before) == 0 {
		t.Fatal("the shelf of a new store is empty")
	}
	start := time.Now()
	s.until("everything to be done once", func(actions map[string]float64) bool {
		return !slices.ContainsFunc(usual(), func(name string) bool { return actions[name] == 0 }) && total(actions) > 500
	})
	during := s.products()
	s.leave()
	took := time.Since(start)
	actions := s.actions()
	t.Logf("%.0f actions in %s: %v", total(actions), took.Round(time.Millisecond), actions)

	allowed := append(usual(), "restock: stale", "order: sold_out", "merchant_look: refused", "deactivate: done", "remove_product: done")
	for name := range maps.Keys(actions) {
		if !slices.Contains(allowed, name) {
			t.Errorf("not expected of a store that is well: %s, %v times", name, actions[name])
		}
	}
	if most := took.Seconds()*perSecond + 1; total(actions) > most {
		t.Errorf("%.0f requests in %s, at %d a second", total(actions), took, perSecond)
	}
	for name, p := range before {
		if during[name].Stock != p.Stock {
			t.Errorf("of the store's own %s there are %d instead of %d", name, during[name].Stock, p.Stock)
		}
	}
	if len(during) != len(before)+4 {
		t.Errorf("%d products beside the store's own %d, want 4", len(during)-len(before), len(before))
	}
	if after := s.products(); !maps.Equal(after, before) {
		t.Errorf("afterwards there is %v, before there was %v", after, before)
	}
	for _, u := range ask[struct {
		Users []struct {
			Username string
			Active   bool
		}
	}](s, "/api/v1/users?limit=200").Users {
		if u.Active != (u.Username == "peter") {
			t.Errorf("account %s: active is %t", u.Username, u.Active)
		}
	}
	api, err := metrics.Read(t.Context(), s.OpsURL(stack.API))
	if err != nil {
		t.Fatal(err)
	}
	for status := 500; status < 600; status++ {
		if n := api.Sum("http_requests_total", map[string]string{"status": fmt.Sprint(status)}); n > 0 {
			t.Errorf("the store has answered %d, %v times", status, n)
		}
	}
}

func TestPeopleWaitForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.until("the first orders", func(actions map[string]float64) bool { return actions["order: done"] > 2 })

	s.Process(stack.API).Kill()
	s.until("everybody to notice", func(actions map[string]float64) bool { return total(actions, client.NoAnswer) > 2*shoppers })
	before := s.actions()["order: done"]
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := s.Process(stack.API).Start(ctx); err != nil {
		t.Fatal(err)
	}
	s.until("more orders", func(actions map[string]float64) bool { return actions["order: done"] > before+2 })

	// Without the DB service there are answers, which ask for patience.
	s.Process(stack.DB).Kill()
	s.until("everybody to be told", func(actions map[string]float64) bool { return total(actions, client.Unavailable) >= shoppers })
	before = s.actions()["order: done"]
	if err := s.Process(stack.DB).Start(ctx); err != nil {
		t.Fatal(err)
	}
	s.until("more orders", func(actions map[string]float64) bool { return actions["order: done"] > before+2 })

	// Who can't say good-bye goes all the same.
	s.Process(stack.API).Kill()
	s.leave()
}

func TestPeopleWhoseAccountsAreGoneGetNewOnesButNotForever(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.until("the first orders", func(actions map[string]float64) bool { return actions["order: done"] > 2 })
	type user struct {
		SID, Username string
		Active        bool
	}
	deactivate := func() {
		for _, u := range ask[struct{ Users []user }](s, "/api/v1/users?limit=200").Users {
			if u.Active && u.Username != "peter" {
				if status, answer, err := s.Do(t.Context(), http.MethodPost, "/api/v1/users/"+u.SID+"/deactivate", s.admin, nil); err != nil || status != http.StatusOK {
					t.Fatalf("deactivate %s: %v, status %d: %s", u.SID, err, status, answer)
				}
			}
		}
	}
	deactivate()
	before := s.actions()["order: done"]
	s.until("orders of new accounts", func(actions map[string]float64) bool { return actions["order: done"] > before+2 })

	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for ended := false; !ended; {
		deactivate()
		select {
		case err := <-s.served:
			s.served <- err
			ended = true
		case <-ticker.C:
		case <-time.After(limit):
			t.Fatal("they still make accounts")
		}
	}
	if n := s.actions()["sign_up: done"]; n != 5*(shoppers+1) {
		t.Errorf("%v accounts of %d people", n, shoppers+1)
	}
	s.leave()
}
