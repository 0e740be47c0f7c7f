package users

import (
	"context"
	"net/http"
	"strings"

	"merchstore.io/merchstore/services/loadgen/client"
)

// userErrors are requests that the store has to reject.
var userErrors = []client.Request{
	{Method: http.MethodGet, Path: "/api/v1/products?limit=lots"},
	{Method: http.MethodGet, Path: "/api/v1/products?cursor=%F0%9F%99%83"},
	{Method: http.MethodGet, Path: "/api/v1/products?q=" + strings.Repeat("long", 30)},
	{Method: http.MethodGet, Path: "/api/v1/products/0"},
	{Method: http.MethodGet, Path: "/api/v1/products/2147483647"},
	{Method: http.MethodGet, Path: "/api/v1/orders/9223372036854775807"},
	{Method: http.MethodPost, Path: "/api/v1/orders", Body: []byte(`{"product_id": 1, "quantity": 0}`)},
	{Method: http.MethodPost, Path: "/api/v1/orders", Body: []byte(`{"product_id": 1, "quantity": "two"}`)},
	{Method: http.MethodPost, Path: "/api/v1/orders", Body: []byte(`{"product_id": 1, "quantity": 1, "discount": 100}`)},
	{Method: http.MethodPost, Path: "/api/v1/orders", Body: []byte(`{"product_id": 1, "quant`)},
	{Method: http.MethodPost, Path: "/api/v1/users/create", Body: []byte(`{"username": "short", "password": "short"}`)},
}

// sendInvalidRequest sends one of userErrors.
func (c *customer) sendInvalidRequest(ctx context.Context) error {
	r := pick(userErrors)
	r.Action = "invalid_request"
	_, err := c.send(ctx, r)
	return err
}

// mistypePassword logs in with a wrong password, then with the right one.
func (c *customer) mistypePassword(ctx context.Context) error {
	r, err := c.logIn(ctx, strings.ToLower(c.password))
	if err != nil || !r.Final() {
		return err
	}
	_, err = c.logIn(ctx, c.password)
	return err
}
