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

// check goes through the store as a customer does: a new account logs in, looks around, buys one piece of what is there, gives it
// back, and is deactivated. It needs nothing but the store's address.
func check(ctx context.Context, s Settings, p *process.Process) error {
	name := "check-" + rand.Text()
	c := customer{url: s.CheckURL + "/api/v1", http: http.Client{Timeout: s.ReadTimeout + s.RequestTimeout}}
	defer c.http.CloseIdleConnections()

	account := map[string]string{"sid": name, "username": name, "email": name + "@example.com", "password": rand.Text()}
	var login struct{ Token string }
	var shelf struct {
		Products []struct {
			ID    int64
			Stock int
		}
	}
	err := errors.Join(
		c.post(ctx, "/users/create", account, nil),
		c.post(ctx, "/users/login", map[string]string{"username": name, "password": account["password"]}, &login))
	if err != nil {
		return err
	}
	c.token = login.Token
	if err := c.do(ctx, http.MethodGet, "/products", nil, &shelf); err != nil {
		return err
	}
	var order struct{ ID int64 }
	for _, product := range shelf.Products {
		if product.Stock == 0 {
			continue
		}
		if err := c.post(ctx, "/orders", map[string]int64{"product_id": product.ID, "quantity": 1}, &order); err != nil {
			return err
		}
		if err := c.post(ctx, fmt.Sprintf("/orders/%d/cancel", order.ID), nil, nil); err != nil {
			return err
		}
		break
	}
	if order.ID == 0 {
		return errors.New("there is no product in stock on the first page: whether one can be bought is not known")
	}
	if err := c.post(ctx, "/users/"+name+"/deactivate", nil, nil); err != nil {
		return err
	}
	p.Log.Info("the store works", "url", s.CheckURL, "products", len(shelf.Products), "order", order.ID)
	return nil
}

// customer speaks to the store from outside.
type customer struct {
	url   string
	token string
	http  http.Client
}

func (c *customer) post(ctx context.Context, path string, body, into any) error {
	return c.do(ctx, http.MethodPost, path, body, into)
}

func (c *customer) do(ctx context.Context, method, path string, body, into any) error {
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("write request: %w", err)
		}
		sent = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, sent)
	if err != nil {
		return fmt.Errorf("prepare request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask the store: %w", err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read answer to %s %s: %w", method, path, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s was answered %s: %s", method, path, response.Status, said)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(said, into); err != nil {
		return fmt.Errorf("understand answer to %s %s: %w", method, path, err)
	}
	return nil
}
