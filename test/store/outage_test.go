package store

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/metrics"
	"merchstore.io/merchstore/test/stack"
)

// TestKafkaOutage: requests are not affected, and afterwards Kafka has every log message.
func TestKafkaOutage(t *testing.T) {
	t.Parallel()
	broker, err := kafka.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Stop(); err != nil {
			t.Errorf("stop the broker: %v", err)
		}
	})
	topic := broker.Topic(t, 1)
	s := start(t, func(o *stack.Options) { o.KafkaBrokers, o.Topic = broker.Addr(), topic })
	s.signUp("1", "peter")
	token := s.login("peter")

	requests := 0
	requestFor := func(d time.Duration) (median time.Duration) {
		var took []time.Duration
		for end := time.Now().Add(d); time.Now().Before(end); requests++ {
			from := time.Now()
			s.do(call{method: "GET", path: "/api/v1/products/1", token: token, status: 200})
			took = append(took, time.Since(from))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	before := requestFor(2 * time.Second)
	if err := broker.Stop(); err != nil {
		t.Fatal(err)
	}
	during := requestFor(30 * time.Second)
	if err := broker.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	requestFor(2 * time.Second)
	// Other tests run concurrently, so only a large difference counts.
	t.Logf("%d requests; median %s with Kafka, %s without", requests, before, during)
	if during > 10*before+100*time.Millisecond {
		t.Errorf("requests are slower without Kafka: median %s, before %s", during, before)
	}

	const other = 3 // messages about the sign-up and the login
	eventually.True(t, time.Minute, "every message to be acknowledged", func() bool {
		return s.metric(stack.API, "merchstore_log_messages_acknowledged_total")+s.metric(stack.API, "merchstore_log_messages_dropped_total") >= requests+other
	})
	if dropped := s.metric(stack.API, "merchstore_log_messages_dropped_total"); dropped != 0 {
		t.Errorf("%d messages were dropped although the queue has room for more than %d", dropped, requests)
	}
	ids := map[string]bool{}
	for _, r := range broker.Records(t, topic, requests+other) {
		ids[r.Headers["id"]] = true
	}
	if len(ids) != requests+other {
		t.Errorf("%d different messages in the topic, %d were logged", len(ids), requests+other)
	}
}

// metric returns the value of a counter or gauge of a process, summed over its labels.
func (s *store) metric(process, name string) int {
	s.t.Helper()
	read, err := metrics.Read(s.t.Context(), s.OpsURL(process))
	if err != nil {
		s.t.Fatal(err)
	}
	return int(read.Sum(name, nil))
}

// TestPostgreSQLOutage: requests are answered 503 with Retry-After in time, the DB service is not
// ready but alive, and recovers by itself.
func TestPostgreSQLOutage(t *testing.T) {
	t.Parallel()
	server := database.StartServer(t, nil)
	if err := schema.Migrate(t.Context(), server.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	s := start(t, func(o *stack.Options) { o.DatabaseURL = server.URL("postgres") })
	s.signUp("1", "peter")
	token := s.login("peter")
	buy := call{
		method: "POST", path: "/api/v1/orders", token: token, body: `{"product_id":1,"quantity":1}`,
		header: http.Header{"Idempotency-Key": {"k"}}, status: 503,
	}

	server.Kill()
	for _, c := range []call{
		buy,
		{method: "GET", path: "/api/v1/products", token: token, status: 503},
		{method: "POST", path: "/api/v1/users/login", body: `{"username":"peter","password":"password123"}`, status: 503},
		{method: "GET", path: "/api/products", token: token, status: 503},
	} {
		from := time.Now()
		r := s.do(c)
		if seconds, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || seconds < 1 {
			t.Errorf("%s %s: Retry-After is %q", c.method, c.path, r.header.Get("Retry-After"))
		}
		if took := time.Since(from); took > 8*time.Second {
			t.Errorf("%s %s: the response took %s", c.method, c.path, took)
		}
		if strings.Contains(string(r.body), "127.0.0.1") {
			t.Errorf("the response contains the address of the database: %s", r.body)
		}
	}
	ready := func(process string) bool { return s.opsStatus(process, "/readyz") == http.StatusOK }
	eventually.True(t, 10*time.Second, "the DB service to be not ready", func() bool { return !ready(stack.DB) })
	if s.opsStatus(stack.DB, "/healthz") != http.StatusOK {
		t.Error("the DB service reports that it is not alive: it would be restarted without need")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, 30*time.Second, "the DB service to be ready", func() bool { return ready(stack.DB) })
	eventually.True(t, 30*time.Second, "requests to succeed", func() bool {
		status, _, err := s.Do(t.Context(), http.MethodGet, "/api/v1/products", token, nil)
		return err == nil && status == http.StatusOK
	})
	buy.status = 201
	s.do(buy)

	var messages []string
	eventually.True(t, 30*time.Second, "messages of the DB service in the log channel", func() bool {
		messages = nil
		for _, r := range kafka.Shared(t).Records(t, s.topic, 1) {
			if r.Headers["service"] == "DB service" {
				messages = append(messages, r.Value[strings.Index(r.Value, " - ")+3:])
			}
		}
		return len(messages) == 2
	})
	want := []string{
		"DB service: error: UNAVAILABLE - the database is unavailable, or its schema is too old",
		"DB service: the database is available again",
	}
	if !slices.Equal(messages, want) {
		t.Errorf("the log channel has %q, want %q", messages, want)
	}
}

// TestShutdownLosesNothing stops the API (SIGTERM) while requests are in flight.
func TestShutdownLosesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, withoutProducts, func(o *stack.Options) { o.Replicas = map[string]int{stack.API: 2} })
	s.signUp("1", "peter")
	token := s.login("peter")
	s.do(call{method: "POST", path: "/api/v1/products", token: token, body: `{"name":"Mug","price":1,"stock":100000}`, status: 201})

	stop := make(chan struct{})
	placed := make(chan int)
	go func() {
		n := 0
		defer func() { placed <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			status, answer, err := s.Do(t.Context(), http.MethodPost, "/api/v1/orders", token, map[string]int{"product_id": 1, "quantity": 1})
			switch {
			case err != nil: // the listener has closed: no order was placed
				return
			case status != http.StatusCreated:
				t.Errorf("status %d: %s", status, answer)
				return
			}
			n++
		}
	}()
	eventually.True(t, 10*time.Second, "orders to be placed", func() bool { return s.count(`SELECT count(*) FROM orders`) > 20 })
	if err := s.Process(stack.API).Stop(); err != nil {
		t.Error(err)
	}
	close(stop)
	answered := <-placed
	if stored := s.count(`SELECT count(*) FROM orders`); stored != answered {
		t.Errorf("%d orders were answered, the database has %d", answered, stored)
	}
	const other = 4
	records := kafka.Shared(t).Records(t, s.topic, answered+other)
	if len(records) < answered+other {
		t.Errorf("%d log records for %d orders", len(records), answered)
	}
}

func (s *store) count(sql string) int {
	s.t.Helper()
	return database.Ask[int](s.t, s.connect(), sql)
}

// opsStatus returns the status of a GET request to a process's operations port.
func (s *store) opsStatus(process, path string) int {
	s.t.Helper()
	other := *s.Stack
	other.URL = s.OpsURL(process)
	status, _, err := other.Do(s.t.Context(), http.MethodGet, path, "", nil)
	if err != nil {
		s.t.Fatal(fmt.Errorf("%s%s: %w", process, path, err))
	}
	return status
}
