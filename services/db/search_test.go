package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/database"
)

func TestSearchProducts(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	for _, p := range []*merchstorev1.CreateProductRequest{
		{Name: "Mug 100%", Description: "for a HOOD", Category: "home"},
		{Name: "Hoodie", Description: "very warm", Category: "clothing"},
		{Name: "Red Hood", Category: "clothing"},
		{Name: "南科大卫衣", Description: "冬天穿很暖和", Category: "clothing"},
		{Name: "gone"},
		{Name: "renamed"},
	} {
		if _, err := s.CreateProduct(peter.ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.ListProducts(peter.ctx, new(merchstorev1.ListProductsRequest))
	if err != nil {
		t.Fatal(err)
	}
	gone, renamed := all.GetProducts()[4], all.GetProducts()[5]
	if _, err := s.DeleteProduct(peter.ctx, &merchstorev1.DeleteProductRequest{Id: gone.GetId()}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateProduct(peter.ctx, &merchstorev1.UpdateProductRequest{Id: renamed.GetId(), Name: proto.String("Other")}); err != nil {
		t.Fatal(err)
	}
	const indexedAt = `SELECT max(xmin::text::bigint) FROM product_terms WHERE product_id = $1`
	before := s.count(indexedAt, renamed.GetId())
	if _, err := s.UpdateProduct(peter.ctx, &merchstorev1.UpdateProductRequest{Id: renamed.GetId(), Price: proto.Int64(1)}); err != nil {
		t.Fatal(err)
	}
	if s.count(indexedAt, renamed.GetId()) != before {
		t.Error("a new price indexes the product again")
	}
	for name, tt := range map[string]struct {
		request *merchstorev1.ListProductsRequest
		want    string
	}{
		"all":                                    {&merchstorev1.ListProductsRequest{}, "Mug 100%,Hoodie,Red Hood,南科大卫衣,Other"},
		"spaces find all":                        {&merchstorev1.ListProductsRequest{Query: " \u3000 "}, "Mug 100%,Hoodie,Red Hood,南科大卫衣,Other"},
		"words of names before their beginnings": {&merchstorev1.ListProductsRequest{Query: "hood"}, "Red Hood,Hoodie,Mug 100%"},
		"by one letter":                          {&merchstorev1.ListProductsRequest{Query: "h"}, "Hoodie,Red Hood"},
		"by two words, one of the description":   {&merchstorev1.ListProductsRequest{Query: "WARM  hoo"}, "Hoodie"},
		"by words that no product has together":  {&merchstorev1.ListProductsRequest{Query: "warm red"}, ""},
		"by one letter of Chinese":               {&merchstorev1.ListProductsRequest{Query: "大"}, "南科大卫衣"},
		"by two letters of Chinese":              {&merchstorev1.ListProductsRequest{Query: "卫衣"}, "南科大卫衣"},
		"by letters of a Chinese description":    {&merchstorev1.ListProductsRequest{Query: "很暖和 南科"}, "南科大卫衣"},
		"by letters in another order":            {&merchstorev1.ListProductsRequest{Query: "衣卫"}, ""},
		"by category":                            {&merchstorev1.ListProductsRequest{Category: "clothing"}, "Hoodie,Red Hood,南科大卫衣"},
		"by a part of a category":                {&merchstorev1.ListProductsRequest{Category: "cloth"}, ""},
		"by both":                                {&merchstorev1.ListProductsRequest{Category: "clothing", Query: "卫"}, "南科大卫衣"},
		"a percent sign is literal":              {&merchstorev1.ListProductsRequest{Query: "%"}, "Mug 100%"},
		"punctuation beside words is ignored":    {&merchstorev1.ListProductsRequest{Query: "(100!)"}, "Mug 100%"},
		"quotes are literal":                     {&merchstorev1.ListProductsRequest{Query: `'; DROP TABLE users --`}, ""},
		"a deleted product is not found":         {&merchstorev1.ListProductsRequest{Query: "gone"}, ""},
		"a renamed product is not found":         {&merchstorev1.ListProductsRequest{Query: "renamed"}, ""},
		"a renamed product has a new name":       {&merchstorev1.ListProductsRequest{Query: "other"}, "Other"},
		"by a hundred letters":                   {&merchstorev1.ListProductsRequest{Query: strings.Repeat("大", 100)}, ""},
		"by more words than are looked for":      {&merchstorev1.ListProductsRequest{Query: strings.Repeat("hoodie warm ", 8)}, "Hoodie"},
	} {
		r, err := s.ListProducts(peter.ctx, tt.request)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var names []string
		for _, p := range r.GetProducts() {
			names = append(names, p.GetName())
		}
		if got := strings.Join(names, ","); got != tt.want {
			t.Errorf("%s: found %s, want %s", name, got, tt.want)
		}
	}
}

// TestOlderProductsAreIndexed starts a service on a database that another version has filled.
func TestOlderProductsAreIndexed(t *testing.T) {
	t.Parallel()
	url := database.New(t)
	db := database.Connect(t, url)
	database.Exec(t, db, `ALTER TABLE products DISABLE TRIGGER products_search;
		INSERT INTO products (name, category, price, stock) SELECT 'Mug ' || n, 'home', 1, 1 FROM generate_series(1, 10) AS n;
		UPDATE products SET deleted_at = now() WHERE id = 3;
		INSERT INTO unindexed_products SELECT id FROM products;
		ALTER TABLE products ENABLE TRIGGER products_search;
		UPDATE products SET name = 'Cap', category = 'clothing' WHERE id = 5;
		UPDATE products SET deleted_at = now() WHERE id = 7`)
	s := startOn(t, url)
	admin := s.signUp("admin")
	for query, want := range map[string]int{"mug": 7, "cap": 1} {
		r, err := s.ListProducts(admin.ctx, &merchstorev1.ListProductsRequest{Query: query})
		if err != nil || len(r.GetProducts()) != want {
			t.Errorf("%s: %v, %v; want %d products", query, r, err, want)
		}
	}
	if n := s.count(`SELECT sum(products) FROM categories`); n != 8 {
		t.Errorf("the categories have %d products", n)
	}
}

// TestPagesOfASearch looks for products with two words that most products have, but not together.
func TestPagesOfASearch(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	database.Exec(t, s.sql(), `INSERT INTO products (name, price, stock)
		SELECT CASE WHEN n % 500 = 0 THEN 'Red mug ' WHEN n % 2 = 0 THEN 'Mug ' ELSE 'Red cap ' END || n, 1, 1 FROM generate_series(1, 3000) AS n`)
	for query, want := range map[string]int{"mug red": 6, "red": 1506, "mug 500": 1} {
		seen := map[int32]bool{}
		pages := 0
		for r := (&merchstorev1.ListProductsRequest{Query: query, Limit: 200}); ; pages++ {
			page, err := s.ListProducts(peter.ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page.GetProducts() {
				if seen[p.GetId()] {
					t.Errorf("%s: product %d is on two pages", query, p.GetId())
				}
				seen[p.GetId()] = true
			}
			if r.Cursor = page.GetNextCursor(); r.GetCursor() == "" {
				break
			}
		}
		if len(seen) != want || pages > 10 {
			t.Errorf("%s: found %d products on %d pages, want %d", query, len(seen), pages, want)
		}
	}
}

func TestOrdersHaveConnectionsThatSearchesCannotTake(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	p := s.product(peter, 5)
	holder := s.sql()
	database.Exec(t, holder, `BEGIN; LOCK TABLE product_terms IN ACCESS EXCLUSIVE MODE`)
	const searches = 20
	ended := make(chan error, searches)
	for range searches {
		go func() {
			_, err := s.ListProducts(peter.ctx, &merchstorev1.ListProductsRequest{Query: "hoodie"})
			ended <- err
		}()
	}
	waitFor(t, "searches on all of their connections", func() bool {
		return s.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND application_name = 'merchstore-db-lists' AND wait_event_type = 'Lock'`) == 2
	})
	if _, err := s.PlaceOrder(peter.ctx, order("", line(p, 1))); err != nil {
		t.Errorf("an order: %v", err)
	}
	if _, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: "peter", Password: goodPassword}); err != nil {
		t.Errorf("a login: %v", err)
	}
	_, err := s.GetPicture(peter.ctx, &merchstorev1.GetPictureRequest{Hash: make([]byte, 32)})
	wantReason(t, err, "picture_not_found")
	for range searches {
		if err := <-ended; err != nil {
			wantReason(t, err, "unavailable") // after DB_LIST_TIMEOUT
		}
	}
	database.Exec(t, holder, `ROLLBACK`)
}
