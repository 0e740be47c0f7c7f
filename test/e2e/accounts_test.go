//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// checkOrders compares the orders that were answered 201 with the orders that are listed: each must
// exist once, and no other.
func (s *traffic) checkOrders(t *testing.T) {
	var sold int
	for _, b := range s.buyers {
		found := s.list(t, b)
		for id, n := range found {
			if b.placed[id] == "" || n != 1 {
				t.Errorf("%s lists order %d %d times, which was placed with key %q", b.name, id, n, b.placed[id])
			}
		}
		for id, key := range b.placed {
			if found[id] == 0 {
				t.Errorf("order %[2]d of %[1]s, key %[3]s, was answered 201 and is not listed", b.name, id, key)
			}
		}
		sold += len(found)
	}
	if sold == 0 {
		t.Error("no orders were placed")
	}
	var product struct{ Stock int }
	s.read(t, s.buyers[0], fmt.Sprintf("/api/v1/products/%d", s.product), &product)
	if product.Stock != stock-sold {
		t.Errorf("the stock is %d, want %d - %d = %d", product.Stock, stock, sold, stock-sold)
	}
	t.Logf("%d orders", sold)
}

// list returns how often each order of a buyer is listed.
func (s *traffic) list(t *testing.T, b *buyer) map[int64]int {
	t.Helper()
	found := map[int64]int{}
	for cursor := ""; ; {
		var page struct {
			Orders     []struct{ ID int64 }
			NextCursor string `json:"next_cursor"`
		}
		s.read(t, b, "/api/v1/orders?limit=100&cursor="+url.QueryEscape(cursor), &page)
		for _, o := range page.Orders {
			found[o.ID]++
		}
		if cursor = page.NextCursor; cursor == "" {
			return found
		}
	}
}

func (s *traffic) read(t *testing.T, b *buyer, path string, into any) {
	t.Helper()
	a, err := s.ask(t.Context(), b, http.MethodGet, path, "", "")
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("GET %s: %d %s %v", path, a.status, a.body, err)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatal(err)
	}
}

// checkLog checks that the log channel has a message of each request that was answered, and prints
// those of requests that failed. run runs a command where it can connect to the broker.
func (s *traffic) checkLog(t *testing.T, broker string, run func(command string) (string, error)) {
	if len(s.ids) == 0 {
		t.Fatal("no request was answered")
	}
	c := cluster{t: t}
	consume := "/opt/kafka/bin/kafka-console-consumer.sh --bootstrap-server " + broker + " --topic log-channel --from-beginning " +
		"--timeout-ms 10000 --formatter-property print.headers=true --formatter-property print.value=%t 2>/dev/null | "
	read := fmt.Sprintf(consume, false) + "grep -o 'request_id:[^,[:space:]]*' | cut -d : -f 2 | sort -u"
	c.eventually(fmt.Sprintf("the messages of %d requests are in Kafka", len(s.ids)), func() bool {
		output, err := run(read)
		if err != nil {
			t.Fatal(err)
		}
		logged := map[string]bool{}
		for id := range strings.FieldsSeq(output) {
			logged[id] = true
		}
		missing := 0
		for id := range s.ids {
			if !logged[id] {
				missing++
			}
		}
		t.Logf("the log has messages of %d requests; of the %d that were answered, %d are missing", len(logged), len(s.ids), missing)
		return missing == 0
	})
	if len(s.failed) > 0 {
		messages, err := run(fmt.Sprintf(consume, true) + "grep -F -e " + strings.Join(s.failed[:min(len(s.failed), 10)], " -e ") + " | head -n 50")
		t.Logf("messages of requests that failed: %s %v", messages, err)
	}
}
