package main

import (
	"context"
	"net/url"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/settings"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/database"
)

// TestANewPasswordOfTheDatabaseFailsNoCall replaces the password of the service's role. More calls than
// there are open connections then wait for these, as no new ones can be made.
func TestANewPasswordOfTheDatabaseFailsNoCall(t *testing.T) {
	t.Parallel()
	address := database.New(t)
	owner := database.Connect(t, address)
	database.Exec(t, owner, `CREATE ROLE rotated LOGIN PASSWORD 'old' IN ROLE merchstore_app`)
	t.Cleanup(func() {
		if _, err := owner.Exec(context.Background(), `DROP ROLE rotated`); err != nil {
			t.Error(err)
		}
	})
	login, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	login.User = url.UserPassword("rotated", "old")
	s := startOn(t, address, func(s *Settings) { s.Postgres.URL, s.Postgres.MinConns = settings.Secret(login.String()), 1 })
	seller := s.signUp("seller")
	hoodie := s.product(seller, 1_000_000)
	calls := map[string]func() error{
		"place an order": func() error { _, err := s.PlaceOrder(seller.ctx, order("", line(hoodie, 1))); return err },
		"get a product": func() error {
			_, err := s.GetProduct(seller.ctx, &merchstorev1.GetProductRequest{Id: hoodie.GetId()})
			return err
		},
		"list products": func() error { _, err := s.ListProducts(seller.ctx, new(merchstorev1.ListProductsRequest)); return err },
		"change a product": func() error {
			_, err := s.UpdateProduct(seller.ctx, &merchstorev1.UpdateProductRequest{Id: hoodie.GetId(), Slogan: proto.String("!")})
			return err
		},
	}
	for name, call := range calls {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	database.Exec(t, owner, `ALTER ROLE rotated PASSWORD 'new'`)
	var all sync.WaitGroup
	for name, call := range calls {
		for range 8 {
			all.Go(func() {
				for range 5 {
					if err := call(); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
	}
	all.Wait()
}
