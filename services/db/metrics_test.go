package main

import (
	"testing"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/metrics"
)

// metrics reads the service's metrics.
func (s *service) metrics() metrics.Families {
	s.t.Helper()
	families, err := metrics.Read(s.t.Context(), "http://"+s.ops)
	if err != nil {
		s.t.Fatal(err)
	}
	return families
}

func TestOrderMetrics(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, buyer := s.signUp("admin"), s.signUp("buyer")
	hoodie := s.product(admin, 3)
	for _, r := range []*merchstorev1.PlaceOrderRequest{order("a", line(hoodie, 1)), order("a", line(hoodie, 1)), order("", line(hoodie, 1))} {
		if _, err := s.PlaceOrder(buyer.ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.PlaceOrder(buyer.ctx, order("", line(hoodie, 2)))
	wantReason(t, err, "out_of_stock")
	_, err = s.PlaceOrder(buyer.ctx, order("a", line(hoodie, 3)))
	wantReason(t, err, "idempotency_key_reused")
	placed, err := s.PlaceOrder(buyer.ctx, order("", line(hoodie, 1)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second fails
		_, _ = s.CancelOrder(buyer.ctx, &merchstorev1.CancelOrderRequest{Id: placed.GetOrder().GetId()})
	}

	type labels = map[string]string
	m := s.metrics()
	for _, want := range []struct {
		name   string
		labels labels
		value  float64
	}{
		{"merchstore_orders_placed_total", nil, 3},
		{"merchstore_orders_replayed_total", nil, 1},
		{"merchstore_orders_refused_total", labels{"reason": "out_of_stock"}, 1},
		{"merchstore_orders_refused_total", labels{"reason": "idempotency_key_reused"}, 1},
		{"merchstore_orders_cancelled_total", nil, 1},
		{"merchstore_order_group_size", nil, 6},
		{"merchstore_order_group_duration_seconds", nil, 6},
		{"merchstore_product_stock", nil, 1},
		{"merchstore_products", nil, 1},
		{"merchstore_products_oversold", nil, 0},
		{"merchstore_db_query_duration_seconds", labels{"query": "lock stock"}, 6},
		{"merchstore_ready", nil, 1},
		{"merchstore_check_passing", labels{"check": "database"}, 1},
		{"merchstore_build_info", labels{"process": "db"}, 1},
	} {
		if m[want.name] == nil {
			t.Errorf("%s is missing", want.name)
		} else if got := m.Sum(want.name, want.labels); got != want.value {
			t.Errorf("%s%v is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
	for _, name := range []string{
		"merchstore_postgresql_connections", "merchstore_postgresql_connections_max", "merchstore_postgresql_size_bytes", "merchstore_db_pool_connections_max",
	} {
		if m.Sum(name, nil) <= 0 {
			t.Errorf("%s is %v", name, m.Sum(name, nil))
		}
	}
}

func TestServerMetricsOfALockedTable(t *testing.T) {
	t.Parallel()
	s := start(t)
	buyer := s.signUp("admin")
	hoodie := s.product(buyer, 3)
	holder := s.sql()
	if _, err := holder.Exec(t.Context(), `BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := s.PlaceOrder(buyer.ctx, order("", line(hoodie, 1)))
		waited <- err
	}()
	for s.count(`SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 0 {
		select {
		case err := <-waited:
			t.Fatalf("the order did not wait: %v", err)
		default:
		}
	}
	m := s.metrics()
	if n := m.Sum("merchstore_postgresql_lock_waiters", nil); n < 1 {
		t.Errorf("%v connections wait for a lock", n)
	}
	if age := m.Sum("merchstore_postgresql_longest_transaction_seconds", nil); age <= 0 {
		t.Errorf("the longest transaction is %v s old", age)
	}
	for of, want := range map[string]float64{"server": 1, "products": 0} {
		if up := m.Sum("merchstore_db_samples_up", map[string]string{"of": of}); up != want {
			t.Errorf("samples of %s up: %v, want %v", of, up, want)
		}
	}
	if _, err := holder.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

func TestMetricsWithoutCalls(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.Process.MeasureCalls = false })
	s.signUp("admin")
	m := s.metrics()
	if m["grpc_server_handled_total"] != nil || m["merchstore_db_query_duration_seconds"] != nil {
		t.Error("there are metrics of calls or statements")
	}
	if m["merchstore_products"] == nil {
		t.Error("there are no metrics of products")
	}
}
