package users_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"merchstore.io/merchstore/services/loadgen/client"
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/stack"
)

// expected returns the actions and outcomes that occur sooner or later in a healthy store.
func expected() []string {
	return []string{
		"sign_up: success", "get_account: success", "log_in: success", "log_in: rejected",
		"list_products: success", "search_products: success", "get_product: success", "get_product: not_modified", "get_image: success",
		"add_to_basket: success", "order: success", "repeat_order: replayed", "order_scarce: success", "order_scarce: out_of_stock",
		"cancel_order: success", "cancel_order: rejected", "list_orders: success", "invalid_request: rejected",
		"find_product: success", "check_stock: success", "add_product: success", "restock: success",
	}
}

func TestUsersPerformEveryActionAndCleanUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	before := s.products()
	if len(before) == 0 {
		t.Fatal("a new store has no products")
	}
	begin := time.Now()
	s.until("every action", func(requests map[string]float64) bool {
		return !slices.ContainsFunc(expected(), func(name string) bool { return requests[name] == 0 }) && total(requests) > 500
	})
	during := s.products()
	s.stop()
	duration := time.Since(begin)
	requests := s.requests()
	t.Logf("%.0f requests in %s: %v", total(requests), duration.Round(time.Millisecond), requests)

	allowed := append(expected(), "restock: stale", "order: out_of_stock", "check_stock: rejected", "deactivate: success", "delete_product: success")
	for name := range maps.Keys(requests) {
		if !slices.Contains(allowed, name) {
			t.Errorf("unexpected in a healthy store: %s, %v times", name, requests[name])
		}
	}
	if maximum := duration.Seconds()*perSecond + 1; total(requests) > maximum {
		t.Errorf("%.0f requests in %s, at %d per second", total(requests), duration, perSecond)
	}
	for name, p := range before {
		if during[name].Stock != p.Stock {
			t.Errorf("the stock of the store's own %s changed from %d to %d", name, p.Stock, during[name].Stock)
		}
	}
	if len(during) != len(before)+4 {
		t.Errorf("%d products were added, want 4", len(during)-len(before))
	}
	if after := s.products(); !maps.Equal(after, before) {
		t.Errorf("products are %v afterwards, were %v before", after, before)
	}
	for _, u := range s.users() {
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
			t.Errorf("%v responses have status %d", n, status)
		}
	}
}

func TestTheSimulationEndsIfAUserBecomesTheAdmin(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.simulate()
	var err error
	select {
	case err = <-s.served:
	case <-time.After(limit):
		t.Fatal("the simulation goes on")
	}
	s.served <- nil
	if err == nil {
		t.Fatal("it returned no error")
	}
	credentials := regexp.MustCompile(`log in as "(merchant-[^"]+)" with the password "([^"]+)"`).FindStringSubmatch(err.Error())
	if credentials == nil {
		t.Fatalf("the error has no credentials: %v", err)
	}
	s.stop()
	requests := s.requests()
	if entering := requests["sign_up: success"] + requests["log_in: success"] + requests["get_account: success"]; requests["sign_up: success"] != 1 || total(requests) != entering {
		t.Errorf("requests before that: %v", requests)
	}
	if s.admin, err = s.Login(t.Context(), credentials[1], credentials[2]); err != nil {
		t.Fatal(err)
	}
	if users := s.users(); len(users) != 1 || !users[0].Active {
		t.Errorf("accounts afterwards: %v", users)
	}
}

func TestUsersWaitForAnUnavailableStore(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.until("the first orders", func(requests map[string]float64) bool { return requests["order: success"] > 2 })

	s.Process(stack.API).Kill()
	s.until("requests without a response", func(requests map[string]float64) bool { return total(requests, client.NoResponse) > 2*customers })
	before := s.requests()["order: success"]
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := s.Process(stack.API).Start(ctx); err != nil {
		t.Fatal(err)
	}
	s.until("more orders", func(requests map[string]float64) bool { return requests["order: success"] > before+2 })

	// Without the DB service, the API responds with 503.
	s.Process(stack.DB).Kill()
	s.until("503 for every customer", func(requests map[string]float64) bool { return total(requests, client.Unavailable) >= customers })
	before = s.requests()["order: success"]
	if err := s.Process(stack.DB).Start(ctx); err != nil {
		t.Fatal(err)
	}
	s.until("more orders", func(requests map[string]float64) bool { return requests["order: success"] > before+2 })

	// Users stop even if they cannot clean up.
	s.Process(stack.API).Kill()
	s.stop()
}

func TestUsersReplaceDeactivatedAccountsUpToALimit(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.until("the first orders", func(requests map[string]float64) bool { return requests["order: success"] > 2 })
	deactivate := func() {
		for _, u := range s.users() {
			if u.Active && u.Username != "peter" {
				if status, body, err := s.Do(t.Context(), http.MethodPost, "/api/v1/users/"+u.SID+"/deactivate", s.admin, nil); err != nil || status != http.StatusOK {
					t.Fatalf("deactivate %s: %v, status %d: %s", u.SID, err, status, body)
				}
			}
		}
	}
	deactivate()
	before := s.requests()["order: success"]
	s.until("orders of new accounts", func(requests map[string]float64) bool { return requests["order: success"] > before+2 })

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
			t.Fatal("users still create accounts")
		}
	}
	if n := s.requests()["sign_up: success"]; n != 5*(customers+1) {
		t.Errorf("%d users created %v accounts, want 5 each", customers+1, n)
	}
	s.stop()
}
