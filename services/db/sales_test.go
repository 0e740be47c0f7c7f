package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/database"
)

// buy places an order as if it had been placed at that time.
func (s *service) buy(buyer account, at time.Time, lines ...*merchstorev1.OrderLine) *merchstorev1.Order {
	s.t.Helper()
	r, err := s.PlaceOrder(buyer.ctx, order("", lines...))
	if err != nil {
		s.t.Fatal(err)
	}
	database.Exec(s.t, s.sql(), `UPDATE orders SET created_at = $2 WHERE id = $1`, r.GetOrder().GetId(), at)
	return r.GetOrder()
}

func TestSales(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, seller, buyer := s.signUp("admin"), s.signUp("seller"), s.signUp("buyer")
	own, others := s.product(seller, 100), s.product(admin, 100)
	s.awaitSum()
	database.Exec(t, s.sql(), `UPDATE sales_summed SET until = now() - interval '4 days'`)
	empty, err := s.GetSales(seller.ctx, &merchstorev1.GetSalesRequest{Days: 3})
	if err != nil || len(empty.GetDays()) != 0 || len(empty.GetProducts()) != 0 {
		t.Errorf("before the first order: %v, %v", empty, err)
	}
	today, err := time.ParseInLocation(time.DateOnly, empty.GetTo(), time.FixedZone("", 8*60*60))
	if err != nil {
		t.Fatal(err)
	}
	first := today.AddDate(0, 0, -2)
	day := func(at time.Time, units, revenue int64) *merchstorev1.DailySales {
		return &merchstorev1.DailySales{Day: at.Format(time.DateOnly), Units: units, Revenue: revenue}
	}

	s.buy(buyer, first.Add(-time.Microsecond), line(own, 10))
	s.buy(buyer, first, line(own, 1), line(others, 2))
	s.buy(buyer, today.Add(-time.Microsecond), line(own, 3))
	s.buy(buyer, today, line(own, 4))
	last := s.buy(buyer, today, line(own, 5), line(others, 1))

	tests := map[string]struct {
		actor account
		want  *merchstorev1.GetSalesResponse
	}{
		"a seller sees their own products": {seller, &merchstorev1.GetSalesResponse{
			Days: []*merchstorev1.DailySales{day(first, 1, 19900), day(first.AddDate(0, 0, 1), 3, 3*19900), day(today, 9, 9*19900)},
			Products: []*merchstorev1.ProductSales{{ProductId: own.GetId(), Name: "Hoodie", Days: []*merchstorev1.DailySales{
				day(first, 1, 19900), day(first.AddDate(0, 0, 1), 3, 3*19900), day(today, 9, 9*19900),
			}}},
		}},
		"an admin sees all, the best first": {admin, &merchstorev1.GetSalesResponse{
			Days: []*merchstorev1.DailySales{day(first, 3, 3*19900), day(first.AddDate(0, 0, 1), 3, 3*19900), day(today, 10, 10*19900)},
			Products: []*merchstorev1.ProductSales{
				{ProductId: own.GetId(), Name: "Hoodie", Days: []*merchstorev1.DailySales{
					day(first, 1, 19900), day(first.AddDate(0, 0, 1), 3, 3*19900), day(today, 9, 9*19900),
				}},
				{ProductId: others.GetId(), Name: "Hoodie", Days: []*merchstorev1.DailySales{day(first, 2, 2*19900), day(today, 1, 19900)}},
			},
		}},
		"a customer without products sees none": {buyer, new(merchstorev1.GetSalesResponse)},
	}
	check := func(when string) {
		for name, tt := range tests {
			tt.want.From, tt.want.To = first.Format(time.DateOnly), today.Format(time.DateOnly)
			got, err := s.GetSales(tt.actor.ctx, &merchstorev1.GetSalesRequest{Days: 3})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, when, diff)
			}
		}
	}
	check("from orders")
	s.stop()
	database.Exec(t, database.Connect(t, s.url), `DELETE FROM river_job`)
	s = startOn(t, s.url)
	s.awaitSum()
	if n := s.count(`SELECT units FROM product_sales WHERE product_id = 0 ORDER BY day LIMIT 1`); n != 10 {
		t.Errorf("%d units are summed up for the first day", n)
	}
	check("from their sums")

	if _, err := s.CancelOrder(buyer.ctx, &merchstorev1.CancelOrderRequest{Id: last.GetId()}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteProduct(seller.ctx, &merchstorev1.DeleteProductRequest{Id: own.GetId()}); err != nil {
		t.Fatal(err)
	}
	got, err := s.GetSales(seller.ctx, new(merchstorev1.GetSalesRequest))
	if err != nil || got.GetFrom() != today.AddDate(0, 0, -29).Format(time.DateOnly) || len(got.GetDays()) != 4 || got.GetDays()[3].GetUnits() != 4 {
		t.Errorf("after a cancel and a deletion, in 30 days: %v, %v", got, err)
	}
	for _, days := range []int32{-1, 91} {
		_, err := s.GetSales(seller.ctx, &merchstorev1.GetSalesRequest{Days: days})
		wantReason(t, err, "invalid_request")
	}
}

// awaitSum waits until the first job that sums up sales has ended.
func (s *service) awaitSum() {
	waitFor(s.t, "the sum of sales", func() bool {
		return s.count(`SELECT count(*) FROM river_job WHERE kind = 'sum_sales' AND state = 'completed'`) == 1
	})
}

func TestSalesBeyondAnyAmountOfMoney(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.signUp("admin")
	p := s.product(admin, 1_000_000)
	placed := s.buy(admin, time.Now(), line(p, 1))
	db := s.sql()
	database.Exec(t, db, `INSERT INTO orders (id, user_id, total_price, created_at)
		SELECT 1000 + n, user_id, 0, created_at FROM orders, generate_series(1, 2000) AS n WHERE id = $1`, placed.GetId())
	database.Exec(t, db, `INSERT INTO order_items (order_id, product_id, line, name, quantity, unit_price)
		SELECT id, $1, 0, 'Hoodie', 2000000000, 99999999.99 FROM orders WHERE id > 1000`, p.GetId())
	got, err := s.GetSales(admin.ctx, new(merchstorev1.GetSalesRequest))
	if err != nil || got.GetDays()[0].GetRevenue() <= 0 || got.GetDays()[0].GetUnits() != 2000*2000000000+1 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestSumsUpMoreOrdersOfAMomentThanOneStep: steps are limited to 50,000 orders.
func TestSumsUpMoreOrdersOfAMomentThanOneStep(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.signUp("admin")
	p := s.product(admin, 1)
	s.buy(admin, time.Now().Add(-24*time.Hour), line(p, 1))
	s.awaitSum()
	s.stop()
	db := database.Connect(t, s.url)
	for _, sql := range []string{
		`INSERT INTO orders (id, user_id, total_price, created_at)
			SELECT 1000 + n, user_id, 0, now() - interval '9 hours' FROM orders, generate_series(1, 60000) AS n`,
		`INSERT INTO order_items (order_id, product_id, line, name, quantity, unit_price)
			SELECT o.id, i.product_id, 0, '', 1, 0 FROM orders o, order_items i WHERE o.id > 1000`,
		`DELETE FROM product_sales`, `UPDATE sales_summed SET until = now() - interval '2 days'`, `DELETE FROM river_job`,
	} {
		database.Exec(t, db, sql)
	}
	s = startOn(t, s.url)
	s.awaitSum()
	if n := s.count(`SELECT sum(units) FROM product_sales WHERE product_id = 0`); n != 60_001 {
		t.Errorf("%d units are summed up", n)
	}
	if n := s.count(`SELECT count(*) FROM sales_summed WHERE until > now() - interval '2 minutes'`); n != 1 {
		t.Error("the job has ended too early")
	}
}

func TestListCategories(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	for _, category := range []string{"home", "Clothing", "", "home", "文具"} {
		if _, err := s.CreateProduct(peter.ctx, &merchstorev1.CreateProductRequest{Name: "x", Category: category}); err != nil {
			t.Fatal(err)
		}
	}
	gone, err := s.CreateProduct(peter.ctx, &merchstorev1.CreateProductRequest{Name: "x", Category: "gone"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteProduct(peter.ctx, &merchstorev1.DeleteProductRequest{Id: gone.GetProduct().GetId()}); err != nil {
		t.Fatal(err)
	}
	got, err := s.ListCategories(peter.ctx, new(merchstorev1.ListCategoriesRequest))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Clothing", "home", "文具"}, got.GetCategories()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
