package main

import (
	"testing"

	"google.golang.org/protobuf/proto"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/database"
)

// TestAMigrationMayChangeTheTypeOfAColumn changes tables for which open connections have prepared
// statements.
func TestAMigrationMayChangeTheTypeOfAColumn(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.Postgres.MinConns, s.Postgres.MaxConns = 5, 5 })
	admin := s.signUp("admin")
	hoodie := s.product(admin, 1000)
	placed, err := s.PlaceOrder(admin.ctx, order("replayed", line(hoodie, 1)))
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"log in": func() error {
			_, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: "admin", Password: goodPassword})
			return err
		},
		"get account": func() error { _, err := s.GetUser(admin.ctx, new(merchstorev1.GetUserRequest)); return err },
		"get product": func() error {
			_, err := s.GetProduct(admin.ctx, &merchstorev1.GetProductRequest{Id: hoodie.GetId()})
			return err
		},
		"list products": func() error { _, err := s.ListProducts(admin.ctx, new(merchstorev1.ListProductsRequest)); return err },
		"get order": func() error {
			_, err := s.GetOrder(admin.ctx, &merchstorev1.GetOrderRequest{Id: placed.GetOrder().GetId()})
			return err
		},
		"update product": func() error {
			_, err := s.UpdateProduct(admin.ctx, &merchstorev1.UpdateProductRequest{Id: hoodie.GetId(), Slogan: proto.String("!")})
			return err
		},
		"place order":  func() error { _, err := s.PlaceOrder(admin.ctx, order("", line(hoodie, 1))); return err },
		"replay order": func() error { _, err := s.PlaceOrder(admin.ctx, order("replayed", line(hoodie, 1))); return err },
		"cancel order": func() error {
			r, err := s.PlaceOrder(admin.ctx, order("", line(hoodie, 1)))
			if err == nil {
				_, err = s.CancelOrder(admin.ctx, &merchstorev1.CancelOrderRequest{Id: r.GetOrder().GetId()})
			}
			return err
		},
	}
	everywhere := func() {
		for name, call := range calls {
			for range 8 { // prepares the statement on more than one connection
				if err := call(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	everywhere()
	db := s.sql()
	database.Exec(t, db, `DROP TRIGGER products_search ON products`) // as such a migration has to
	for range 2 {
		database.Exec(t, db, `ALTER TABLE users ALTER COLUMN username TYPE text, ALTER COLUMN password_hash TYPE varchar(255)`)
		database.Exec(t, db, `ALTER TABLE products ALTER COLUMN name TYPE text, ALTER COLUMN slogan TYPE varchar(300)`)
		database.Exec(t, db, `ALTER TABLE order_items ALTER COLUMN name TYPE varchar(200)`)
		database.Exec(t, db, `ALTER TABLE idempotency_keys ALTER COLUMN key TYPE text`)
		everywhere()
		database.Exec(t, db, `ALTER TABLE users ALTER COLUMN username TYPE varchar(60)`)
		database.Exec(t, db, `ALTER TABLE products ALTER COLUMN name TYPE varchar(120)`)
		database.Exec(t, db, `ALTER TABLE order_items ALTER COLUMN name TYPE text`)
		everywhere()
	}
}
