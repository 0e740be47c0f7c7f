package crowd_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"merchstore.io/merchstore/services/shoppers/client"
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/stack"
)

// usual is what comes of what sooner or later, in a store that is well.
func usual() []string {
	return []string{
		"sign_up: done", "look_at_account: done", "log_in: done", "log_in: refused", "browse: done", "search: done", "look: done", "look: not_modified",
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
			t.Errorf("the store has answered %d, %v times", status, n)
		}
	}
}

func TestWhoTurnsOutToBeTheAdminHandsTheStoreOver(t *testing.T) {
	t.Parallel()
	s := build(t)
	s.visit()
	var err error
	select {
	case err = <-s.served:
	case <-time.After(limit):
		t.Fatal("they shop in a store whose only admin is one of them")
	}
	s.served <- nil
	if err == nil {
		t.Fatal("it ended as if all were well")
	}
	told := regexp.MustCompile(`log in as "(merchant-[^"]+)" with the password "([^"]+)"`).FindStringSubmatch(err.Error())
	if told == nil {
		t.Fatalf("it does not tell how to log in: %v", err)
	}
	s.leave()
	if actions := s.actions(); total(actions) != actions["sign_up: done"]+actions["log_in: done"]+actions["look_at_account: done"] || actions["sign_up: done"] != 1 {
		t.Errorf("before that they did %v", actions)
	}
	if s.admin, err = s.Login(t.Context(), told[1], told[2]); err != nil {
		t.Fatal(err)
	}
	if users := s.users(); len(users) != 1 || !users[0].Active {
		t.Errorf("afterwards the accounts are %v", users)
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
	deactivate := func() {
		for _, u := range s.users() {
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
