package main

import (
	"context"
	"crypto/sha256"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/database"
)

// fill makes the store so large that PostgreSQL plans as for a hundred times as much.
const fill = `
	SET auto_explain.log_min_duration = -1;
	INSERT INTO users (sid, username, email, password_hash, role)
		SELECT 's' || n, 'user' || n, 'u' || n || '@example.com', 'x', 'customer' FROM generate_series(1, 20000) AS n;
	INSERT INTO pictures (hash, original_type, original, status, failure)
		SELECT sha256(n::text::bytea), 'image/png', 'x', 'processing', NULL FROM generate_series(1, 10000) AS n;
	INSERT INTO products (owner_id, name, description, category, price, stock, picture)
		SELECT n, 'Mug number ' || n, 'of one kind', 'category ' || n % 50, 1, 1000, sha256(n::text::bytea) FROM generate_series(10, 10000) AS n;
	INSERT INTO orders (id, user_id, total_price, created_at)
		SELECT n, 1 + n % 20000, 1, now() - make_interval(secs => 80 * (100000 - n)) FROM generate_series(1, 100000) AS n;
	INSERT INTO order_items (order_id, product_id, line, name, quantity, unit_price)
		SELECT n, 1 + n % 9000, 0, 'Mug', 1, 1 FROM generate_series(1, 100000) AS n;
	INSERT INTO product_sales SELECT product, day, 1, 1 FROM generate_series(1, 1000) AS product, generate_series(store_day(now()) - 200, store_day(now())) AS day;
	INSERT INTO idempotency_keys (user_id, key, request_hash, order_id, created_at)
		SELECT 1 + n % 20000, 'key' || n, sha256(''), n, now() FROM generate_series(1, 100000) AS n;
	SELECT setval('orders_id_seq', 100001)`

var (
	entry    = regexp.MustCompile(`(?m)^\[`)
	seqScans = regexp.MustCompile(`Seq Scan on (products|orders|order_items|users|idempotency_keys|pictures|product_terms|product_sales)\b`)
)

// TestNoRequestScansATable calls every method of a large store, and reads from PostgreSQL's log how
// it ran each statement, those of triggers included.
func TestNoRequestScansATable(t *testing.T) {
	t.Parallel()
	server := database.StartServer(t, map[string]string{
		"fsync": "off", "session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0",
		"auto_explain.log_nested_statements": "on", "log_line_prefix": "[%a] ",
	})
	s := startOnServer(t, server)
	admin, peter := s.signUp("admin"), s.signUp("peter")
	p := s.product(peter, 1000)
	db := s.sql()
	database.Exec(t, db, fill)
	database.Exec(t, db, "VACUUM ANALYZE")
	before, err := os.Stat(server.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	placed, err := s.PlaceOrder(peter.ctx, order("key", line(p, 1)))
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for i, r := range requests(s, admin, peter, p, placed.GetOrder()) {
		called[r.method] = true
		if err := r.call(); err != nil {
			t.Errorf("request %d, %s: %v", i, r.method, err)
		}
	}
	for _, m := range merchstorev1.DBService_ServiceDesc.Methods {
		if !called[m.MethodName] {
			t.Errorf("%s is not called", m.MethodName)
		}
	}
	s.metrics()
	s.stop()
	log, err := os.ReadFile(server.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	statements := 0
	for _, e := range entry.Split(string(log[before.Size():]), -1) {
		if !strings.HasPrefix(e, "merchstore-db") || !strings.Contains(e, "Query Text") {
			continue
		}
		statements++
		if seqScans.MatchString(e) && !strings.HasPrefix(e, "merchstore-db-jobs") {
			t.Errorf("%s", e)
		}
	}
	if statements < 60 {
		t.Errorf("the log has only %d statements", statements)
	}
}

type request struct {
	method string
	call   func() error
}

// calling returns a request of a by a method of the client.
func calling[Req, Resp any](method string, a account, f func(context.Context, *Req, ...grpc.CallOption) (*Resp, error), r *Req) request {
	return request{method, func() error { _, err := f(a.ctx, r); return err }}
}

// requests returns requests to all methods, with all kinds of arguments that lead to statements of
// their own.
func requests(s *service, admin, peter account, p *merchstorev1.Product, placed *merchstorev1.Order) []request {
	const cursor = "MTAw" // after id 100
	id, name := p.GetId(), proto.String
	picture, first := uniquePNG(s.t), sha256.Sum256([]byte("1"))
	list := []request{
		calling("CreateUser", account{ctx: s.t.Context()}, s.CreateUser, &merchstorev1.CreateUserRequest{Username: "another", Password: goodPassword}),
		calling("Login", account{ctx: s.t.Context()}, s.Login, &merchstorev1.LoginRequest{Username: "Another", Password: goodPassword}),
		calling("ListUsers", admin, s.ListUsers, &merchstorev1.ListUsersRequest{Cursor: cursor}),
		calling("GetUser", peter, s.GetUser, &merchstorev1.GetUserRequest{}),
		calling("GetUser", admin, s.GetUser, &merchstorev1.GetUserRequest{Sid: peter.Sid}),
		calling("UpdateUser", peter, s.UpdateUser, &merchstorev1.UpdateUserRequest{Sid: peter.Sid, Username: name("petra")}),
		calling("ListCategories", peter, s.ListCategories, &merchstorev1.ListCategoriesRequest{}),
		calling("GetProduct", peter, s.GetProduct, &merchstorev1.GetProductRequest{Id: id}),
		calling("CreateProduct", peter, s.CreateProduct, &merchstorev1.CreateProductRequest{Name: "Cap", Category: "x", Image: picture}),
		calling("UpdateProduct", peter, s.UpdateProduct, &merchstorev1.UpdateProductRequest{Id: id, Name: name("Hat")}),
		calling("UpdateProduct", peter, s.UpdateProduct, &merchstorev1.UpdateProductRequest{Id: id}),
		calling("SetPicture", peter, s.SetPicture, &merchstorev1.SetPictureRequest{Id: id, Image: picture}),
		calling("RemovePicture", peter, s.RemovePicture, &merchstorev1.RemovePictureRequest{Id: id}),
		calling("GetPicture", peter, s.GetPicture, &merchstorev1.GetPictureRequest{Hash: first[:]}),
		calling("PlaceOrder", peter, s.PlaceOrder, order("key", line(p, 1))), // replayed
		calling("PlaceOrder", peter, s.PlaceOrder, order("new", line(p, 1))),
		calling("PlaceOrder", peter, s.PlaceOrder, order("", line(p, 1))),
		calling("ListOrders", peter, s.ListOrders, &merchstorev1.ListOrdersRequest{}),
		calling("ListOrders", admin, s.ListOrders, &merchstorev1.ListOrdersRequest{Cursor: cursor}),
		calling("ListOrders", admin, s.ListOrders, &merchstorev1.ListOrdersRequest{UserSid: peter.Sid, Cursor: cursor}),
		calling("GetOrder", peter, s.GetOrder, &merchstorev1.GetOrderRequest{Id: placed.GetId()}),
		calling("CancelOrder", peter, s.CancelOrder, &merchstorev1.CancelOrderRequest{Id: placed.GetId()}),
		calling("GetSales", peter, s.GetSales, &merchstorev1.GetSalesRequest{}),
		calling("GetSales", admin, s.GetSales, &merchstorev1.GetSalesRequest{Days: 90}),
		calling("ListItems", peter, s.ListItems, &merchstorev1.ListItemsRequest{}),
		calling("CreateItem", peter, s.CreateItem, &merchstorev1.CreateItemRequest{Name: "x"}),
		calling("DeleteItem", admin, s.DeleteItem, &merchstorev1.DeleteItemRequest{Id: 1}),
		calling("DeleteProduct", peter, s.DeleteProduct, &merchstorev1.DeleteProductRequest{Id: id}),
		calling("EndSession", peter, s.EndSession, &merchstorev1.EndSessionRequest{}),
		calling("EndAllSessions", admin, s.EndAllSessions, &merchstorev1.EndAllSessionsRequest{Sid: peter.Sid}),
		calling("DeactivateUser", admin, s.DeactivateUser, &merchstorev1.DeactivateUserRequest{Sid: peter.Sid}),
	}
	for _, query := range []string{"", "m", "number", "100", "mug number", "of", "xyz", "卫衣", "!"} {
		for _, category := range []string{"", "category 7"} {
			for _, after := range []string{"", cursor} {
				list = append(list, calling("ListProducts", admin, s.ListProducts,
					&merchstorev1.ListProductsRequest{Query: query, Category: category, Cursor: after}))
			}
		}
	}
	return list
}
