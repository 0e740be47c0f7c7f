package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/database"
)

func TestOwnersAndAdminsChangeProducts(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, peter, yoga := s.signUp("admin"), s.signUp("peter"), s.signUp("yoga")
	p := s.product(peter, 5)
	if p.GetOwnerSid() != peter.Sid || p.GetVersion() != 1 || p.GetPrice() != 19900 || p.GetStock() != 5 {
		t.Errorf("created as %v", p)
	}
	type update = merchstorev1.UpdateProductRequest
	for _, step := range []struct {
		name    string
		actor   account
		request *update
		want    failure.Reason
	}{
		{"by another user", yoga, &update{Id: p.GetId(), Name: proto.String("Mine")}, "forbidden"},
		{"by its owner", peter, &update{Id: p.GetId(), Name: proto.String("Mug"), Price: proto.Int64(9999)}, ""},
		{"by an admin", admin, &update{Id: p.GetId(), Stock: proto.Int32(7)}, ""},
		{"with the current version", peter, &update{Id: p.GetId(), IfVersion: proto.Int64(3), Slogan: proto.String("!")}, ""},
		{"with a stale version", peter, &update{Id: p.GetId(), IfVersion: proto.Int64(3), Slogan: proto.String("?")}, "stale_version"},
		{"to an empty name", peter, &update{Id: p.GetId(), Name: proto.String("")}, "invalid_request"},
		{"of an unknown product", admin, &update{Id: 999}, "product_not_found"},
	} {
		_, err := s.UpdateProduct(step.actor.ctx, step.request)
		if reason(err) != step.want {
			t.Errorf("an update %s: %v, want %q", step.name, err, step.want)
		}
	}
	r, err := s.GetProduct(yoga.ctx, &merchstorev1.GetProductRequest{Id: p.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	got := r.GetProduct()
	if got.GetName() != "Mug" || got.GetPrice() != 9999 || got.GetStock() != 7 || got.GetSlogan() != "!" || got.GetVersion() != 4 {
		t.Errorf("after the updates: %v", got)
	}
	if _, err := s.PlaceOrder(yoga.ctx, order("", line(p, 1))); err != nil {
		t.Fatal(err)
	}
	_, err = s.DeleteProduct(peter.ctx, &merchstorev1.DeleteProductRequest{Id: p.GetId(), IfVersion: proto.Int64(4)})
	wantReason(t, err, "stale_version") // the order changed the version
	_, err = s.DeleteProduct(yoga.ctx, &merchstorev1.DeleteProductRequest{Id: p.GetId()})
	wantReason(t, err, "forbidden")
	_, err = s.DeleteProduct(peter.ctx, &merchstorev1.DeleteProductRequest{Id: p.GetId()})
	wantReason(t, err, "")
	_, err = s.DeleteProduct(peter.ctx, &merchstorev1.DeleteProductRequest{Id: p.GetId()})
	wantReason(t, err, "product_not_found")
	_, err = s.GetProduct(yoga.ctx, &merchstorev1.GetProductRequest{Id: p.GetId()})
	wantReason(t, err, "product_not_found")
}

func TestKeepsTheVersionIfNothingChanges(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.signUp("admin")
	p := s.product(admin, 5)
	for name, change := range map[string]func(ifVersion *int64) (*merchstorev1.Product, error){
		"an update without fields": func(v *int64) (*merchstorev1.Product, error) {
			r, err := s.UpdateProduct(admin.ctx, &merchstorev1.UpdateProductRequest{Id: p.GetId(), IfVersion: v})
			return r.GetProduct(), err
		},
		"removing a picture where there is none": func(v *int64) (*merchstorev1.Product, error) {
			r, err := s.RemovePicture(admin.ctx, &merchstorev1.RemovePictureRequest{Id: p.GetId(), IfVersion: v})
			return r.GetProduct(), err
		},
	} {
		got, err := change(nil)
		if err != nil || !proto.Equal(got, p) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, p)
		}
		_, err = change(proto.Int64(p.GetVersion() + 1))
		wantReason(t, err, "stale_version")
	}
}

func TestRejectsInvalidRequests(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	p := s.product(peter, 5)
	type product = merchstorev1.CreateProductRequest
	for name, r := range map[string]*product{
		"no name":                {},
		"a name of spaces":       {Name: "   "},
		"a name with a NUL":      {Name: "a\x00"},
		"a name of 101 letters":  {Name: strings.Repeat("ü", 101)},
		"a long description":     {Name: "x", Description: strings.Repeat("x", 1001)},
		"a NUL in a description": {Name: "x", Description: "\x00"},
		"a negative price":       {Name: "x", Price: -1},
		"too great a price":      {Name: "x", Price: 10_000_000_000},
		"a negative stock":       {Name: "x", Stock: -1},
		"too great a stock":      {Name: "x", Stock: 1_000_001},
		"a bell in a category":   {Name: "x", Category: "\a"},
	} {
		_, err := s.CreateProduct(peter.ctx, r)
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, r := range map[string]*merchstorev1.PlaceOrderRequest{
		"no lines":                order(""),
		"a quantity of zero":      order("", line(p, 0)),
		"a negative quantity":     order("", line(p, -1)),
		"too great a quantity":    order("", line(p, 10_001)),
		"the greatest int32":      order("", line(p, 1<<31-1)),
		"one product twice":       order("", line(p, 1), line(p, 1)),
		"a key of 256 letters":    order(strings.Repeat("k", 256), line(p, 1)),
		"a key with a line break": order("a\nb", line(p, 1)),
		"a key that is not ASCII": order("ключ", line(p, 1)),
	} {
		_, err := s.PlaceOrder(peter.ctx, r)
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cursor := range []string{"x", "LTE", "!!", strings.Repeat("M", 60), "\x00"} {
		_, err := s.ListProducts(peter.ctx, &merchstorev1.ListProductsRequest{Cursor: cursor})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	const lastCursor = "OTIyMzM3MjAzNjg1NDc3NTgwNw" // the greatest int64
	for name, call := range map[string]func() error{
		"products": func() error {
			_, err := s.ListProducts(peter.ctx, &merchstorev1.ListProductsRequest{Cursor: lastCursor})
			return err
		},
		"users": func() error {
			_, err := s.ListUsers(peter.ctx, &merchstorev1.ListUsersRequest{Cursor: lastCursor})
			return err
		},
		"orders": func() error {
			_, err := s.ListOrders(peter.ctx, &merchstorev1.ListOrdersRequest{Cursor: lastCursor})
			return err
		},
		"items": func() error {
			_, err := s.ListItems(peter.ctx, &merchstorev1.ListItemsRequest{Cursor: lastCursor})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s after the greatest id: %v", name, err)
		}
	}
	for name, call := range map[string]func() error{
		"log in": func() error {
			_, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: "a\x00", Password: "x"})
			return err
		},
		"read account": func() error { _, err := s.GetUser(peter.ctx, &merchstorev1.GetUserRequest{Sid: "a\x00"}); return err },
		"list orders": func() error {
			_, err := s.ListOrders(peter.ctx, &merchstorev1.ListOrdersRequest{UserSid: "a\x00"})
			return err
		},
		"deactivate": func() error {
			_, err := s.DeactivateUser(peter.ctx, &merchstorev1.DeactivateUserRequest{Sid: "a\x00"})
			return err
		},
		"find": func() error {
			_, err := s.ListProducts(peter.ctx, &merchstorev1.ListProductsRequest{Query: "\x00"})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s with a NUL: %v", name, err)
		}
	}
	for _, limit := range []int32{-1, 201} {
		_, err := s.ListProducts(peter.ctx, &merchstorev1.ListProductsRequest{Limit: limit})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	if n := s.count(`SELECT (SELECT count(*) FROM products) + (SELECT count(*) FROM orders) + (SELECT stock FROM products)`); n != 1+0+5 {
		t.Errorf("the database changed: %d", n)
	}
}

func TestPagesAreStableUnderInserts(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	var want []int32
	for range 5 {
		want = append(want, s.product(peter, 1).GetId())
	}
	var got []int32
	var cursor string
	for {
		r, err := s.ListProducts(peter.ctx, &merchstorev1.ListProductsRequest{Limit: 2, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.GetProducts() {
			got = append(got, p.GetId())
		}
		if len(got) < 5 { // insert between pages
			want = append(want, s.product(peter, 1).GetId())
		}
		if cursor = r.GetNextCursor(); cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	for i := range 3 {
		if _, err := s.CreateItem(peter.ctx, &merchstorev1.CreateItemRequest{Name: fmt.Sprint("item ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.CreateItem(peter.ctx, &merchstorev1.CreateItemRequest{Name: "x", Description: strings.Repeat("x", 301)})
	wantReason(t, err, "invalid_request")
	r, err := s.ListItems(peter.ctx, &merchstorev1.ListItemsRequest{Limit: 2})
	if err != nil || len(r.GetItems()) != 2 || r.GetNextCursor() == "" {
		t.Errorf("first page is %v, %v", r, err)
	}
}

func TestSeedsProductsOnce(t *testing.T) {
	t.Parallel()
	withSeed := func(s *Settings) { s.SeedProducts = true }
	s := start(t, withSeed)
	if n := s.count(`SELECT count(*) FROM products`); n != 3 {
		t.Errorf("a new store has %d products, want 3", n)
	}
	if _, err := s.sql().Exec(t.Context(), `UPDATE products SET deleted_at = now()`); err != nil {
		t.Fatal(err)
	}
	startOn(t, s.url, withSeed)
	if n := s.count(`SELECT count(*) FROM products`); n != 3 {
		t.Errorf("an emptied store was seeded again: %d products", n)
	}
}

// TestRecoversFromADatabaseOutage stops PostgreSQL and starts it again.
func TestRecoversFromADatabaseOutage(t *testing.T) {
	t.Parallel()
	server := database.StartServer(t, nil)
	s := startOnServer(t, server)
	peter := s.signUp("peter")
	p := s.product(peter, 5)

	server.Kill()
	for _, call := range []func() error{
		func() error {
			_, err := s.GetProduct(peter.ctx, &merchstorev1.GetProductRequest{Id: p.GetId()})
			return err
		},
		func() error { _, err := s.PlaceOrder(peter.ctx, order("k", line(p, 1))); return err },
		func() error {
			_, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: "peter", Password: "x"})
			return err
		},
	} {
		err := call()
		wantReason(t, err, "unavailable")
		if strings.ContainsAny(status.Convert(err).Message(), ":/@") {
			t.Errorf("the error reveals the address of the database: %v", err)
		}
	}
	waitFor(t, "readiness to fail", func() bool { return !s.ready() })
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "readiness to recover", s.ready)
	_, err := s.PlaceOrder(peter.ctx, order("k", line(p, 1)))
	wantReason(t, err, "")
}

// waitFor polls for a state that gives no signal.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for !is() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited 30 seconds for %s", what)
		}
	}
}
