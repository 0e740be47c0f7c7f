package crowd

import (
	"context"
	"net/http"
	"strings"

	"merchstore.io/merchstore/services/shoppers/client"
)

// mistype sends what the store has to refuse.
func (s *shopper) mistype(ctx context.Context) error {
	const products, orders = "/api/v1/products", "/api/v1/orders"
	r := pick([]client.Request{
		{Method: http.MethodGet, Path: products + "?limit=lots"},
		{Method: http.MethodGet, Path: products + "?cursor=%F0%9F%99%83"},
		{Method: http.MethodGet, Path: products + "?q=" + strings.Repeat("long", 30)},
		{Method: http.MethodGet, Path: products + "/0"},
		{Method: http.MethodGet, Path: products + "/2147483647"},
		{Method: http.MethodGet, Path: orders + "/9223372036854775807"},
		{Method: http.MethodPost, Path: orders, Body: []byte(`{"product_id": 1, "quantity": 0}`)},
		{Method: http.MethodPost, Path: orders, Body: []byte(`{"product_id": 1, "quantity": "two"}`)},
		{Method: http.MethodPost, Path: orders, Body: []byte(`{"product_id": 1, "quantity": 1, "discount": 100}`)},
		{Method: http.MethodPost, Path: orders, Body: []byte(`{"product_id": 1, "quant`)},
		{Method: http.MethodPost, Path: "/api/v1/users/create", Body: []byte(`{"username": "short", "password": "short"}`)},
	})
	r.Action = "mistype"
	_, err := s.send(ctx, r)
	return err
}

// mistypePassword is refused; then the password is right.
func (s *shopper) mistypePassword(ctx context.Context) error {
	a, err := s.logIn(ctx, strings.ToLower(s.password))
	if err != nil || !a.Final() {
		return err
	}
	_, err = s.logIn(ctx, s.password)
	return err
}
