package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"merchstore.io/merchstore/internal/process"
)

// check is a smoke test of a running store: a new account logs in, lists the products, orders one,
// cancels the order, and is deactivated. In a store without accounts it fails, and shows the password.
func check(ctx context.Context, s Settings, p *process.Process) error {
	c := client{url: s.CheckURL + "/api/v1", http: http.Client{Timeout: s.ReadTimeout + s.RequestTimeout}}
	defer c.http.CloseIdleConnections()

	name, password := "check-"+rand.Text(), rand.Text()
	account := map[string]string{"sid": name, "username": name, "email": name + "@example.com", "password": password}
	var user struct{ Role string }
	if err := c.do(ctx, http.MethodPost, "/users/create", account, &user); err != nil {
		return err
	}
	if user.Role == "admin" { // nobody else could administer the store
		return fmt.Errorf("the store had no accounts, so the check's account became its admin: log in as %q with the password %q "+
			"and change it, or restart the store with ADMIN_USERNAME and ADMIN_PASSWORD and deactivate this account; then repeat the check", name, password)
	}
	var login struct{ Token string }
	credentials := map[string]string{"username": name, "password": password}
	if err := c.do(ctx, http.MethodPost, "/users/login", credentials, &login); err != nil {
		return err
	}
	c.token = login.Token
	order, err := c.orderAndCancel(ctx)
	if err := errors.Join(err, c.do(ctx, http.MethodPost, "/users/"+name+"/deactivate", nil, nil)); err != nil {
		return err
	}
	p.Log.Info("check passed", "url", s.CheckURL, "order", order)
	return nil
}

// client calls the API like an external client.
type client struct {
	url   string
	token string
	http  http.Client
}

// orderAndCancel orders the first product that is in stock, and returns the id of the order.
func (c *client) orderAndCancel(ctx context.Context) (int64, error) {
	var list struct {
		Products []struct {
			ID    int64
			Stock int
		}
	}
	if err := c.do(ctx, http.MethodGet, "/products", nil, &list); err != nil {
		return 0, err
	}
	for _, product := range list.Products {
		if product.Stock == 0 {
			continue
		}
		var order struct{ ID int64 }
		line := map[string]int64{"product_id": product.ID, "quantity": 1}
		if err := c.do(ctx, http.MethodPost, "/orders", line, &order); err != nil {
			return 0, err
		}
		return order.ID, c.do(ctx, http.MethodPost, fmt.Sprintf("/orders/%d/cancel", order.ID), nil, nil)
	}
	return 0, errors.New("no product on the first page is in stock, so ordering could not be checked")
}

// do sends body as JSON unless it is nil, and decodes the response into result unless it is nil.
func (c *client) do(ctx context.Context, method, path string, body, result any) error {
	var encoded bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&encoded).Encode(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, &encoded)
	if err != nil {
		return fmt.Errorf("create request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("call the store: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: read response: %w", method, path, err)
	case response.StatusCode >= http.StatusMultipleChoices:
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	case result == nil:
		return nil
	}
	if err := json.Unmarshal(text, result); err != nil {
		return fmt.Errorf("%s %s: decode response: %w", method, path, err)
	}
	return nil
}
