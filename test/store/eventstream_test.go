package store

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/stack"
)

// TestAnEventStreamOutlivesItsConnections: the logging service ends each connection after its maximum
// age and half a minute.
func TestAnEventStreamOutlivesItsConnections(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *stack.Options) {
		o.Env = map[string]map[string]string{stack.Logging: {"GRPC_MAX_CONNECTION_AGE": "1s"}}
	})
	s.signUp("1", "peter")
	ids, ended := make(chan []string, 1), make(chan struct{})
	stream := s.follow(s.login("peter"), "from_beginning=true")
	go func() {
		defer close(ended)
		var seen []string
		for stream.Scan() {
			var event struct{ ID, Text string }
			data, isEvent := strings.CutPrefix(stream.Text(), "data: ")
			if !isEvent {
				continue
			}
			if err := json.Unmarshal([]byte(data), &event); err != nil {
				t.Error(err)
			}
			if seen = append(seen, event.ID); event.Text == "User 'last' is created" {
				ids <- seen
			}
		}
	}()
	eventually.True(t, time.Minute, "another call of the logging service", func() bool {
		s.do(call{method: "GET", path: "/api/v1", status: 200})
		read, err := metrics.Read(t.Context(), s.OpsURL(stack.Logging))
		if err != nil {
			t.Fatal(err)
		}
		return read.Sum("grpc_server_started_total", map[string]string{"grpc_method": "TailLogs"}) > 1
	})
	s.signUp("2", "last")
	var got, want []string
	select {
	case got = <-ids:
	case <-ended:
		t.Fatalf("the stream has ended: %v", stream.Err())
	}
	for _, r := range kafka.Shared(t).Records(t, s.topic, len(got))[:len(got)] {
		want = append(want, r.Headers["id"])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%d messages; lost (-) and added (+):\n%s", len(want), diff)
	}

	s.Process(stack.Logging).Kill()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the stream does not end although there is no logging service")
	}
}

// follow returns the lines of the live log.
func (s *store) follow(token, query string) *bufio.Scanner {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/logs?"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := s.http.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	if response.Header.Get("Content-Type") != "text/event-stream" || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %v", response.Status, response.Header)
	}
	return bufio.NewScanner(response.Body)
}
