package users

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"merchstore.io/merchstore/services/loadgen/client"
)

const (
	// maxRemembered bounds the products and orders that a customer keeps.
	maxRemembered = 50
	maxBasket     = 3
	// pageSize is small, so that a small store has several pages.
	pageSize = "4"
)

// customer browses all products and orders the merchant's.
type customer struct {
	*user

	listings *listings
	profile  []weightedAction

	cursor    string           // of the next page
	products  []product        // of the last page
	etags     map[int32]string // by product
	basket    []orderLine      // each product once
	orders    []int64          // placed and not known to be cancelled
	cancelled int64            // the last cancelled order, 0 if none
	last      *order           // the last order that was answered
	pending   *order           // the order that is retried until it is answered
}

func newCustomer(u *user, l *listings) *customer {
	return &customer{user: u, listings: l, profile: profile(), etags: map[int32]string{}}
}

// product is the part of a product that users read.
type product struct {
	ID       int32
	Stock    int32
	Owner    string `json:"owner_sid"`
	ImageURL string `json:"image_url"`
}

type productPage struct {
	Products   []product
	NextCursor string `json:"next_cursor"`
}

func (c *customer) listProducts(ctx context.Context) error {
	query := url.Values{"limit": {pageSize}}
	if c.cursor != "" {
		query.Set("cursor", c.cursor)
	} else if rand.IntN(4) == 0 {
		query.Set("category", pick([]string{"clothing", "accessories", "home", "stationery"}))
	}
	return c.getPage(ctx, "list_products", query)
}

func (c *customer) searchProducts(ctx context.Context) error {
	term := pick([]string{"cap", "bag", "steel", "pin", "SUSTech", "hoodie", "书"})
	return c.getPage(ctx, "search_products", url.Values{"q": {term}})
}

func (c *customer) getPage(ctx context.Context, action string, query url.Values) error {
	c.cursor = ""
	r, err := c.get(ctx, action, "/api/v1/products?"+query.Encode())
	if err != nil || r.Outcome != client.Success {
		return err
	}
	page, err := decode[productPage](r)
	if err != nil {
		return err
	}
	if len(page.Products) > 0 {
		c.products = page.Products[:min(len(page.Products), maxRemembered)]
	}
	c.cursor = page.NextCursor
	return nil
}

// viewProduct gets a product, half of the time with If-None-Match.
func (c *customer) viewProduct(ctx context.Context) error {
	if len(c.products) == 0 {
		return c.listProducts(ctx)
	}
	_, _, err := c.getProduct(ctx, "get_product", pick(c.products).ID, rand.IntN(2) == 0)
	return err
}

// getProduct gets a product. ok is false if there is none, or if it is not modified.
func (c *customer) getProduct(ctx context.Context, action string, id int32, conditional bool) (p product, ok bool, err error) {
	request := client.Request{Action: action, Method: http.MethodGet, Path: "/api/v1/products/" + strconv.Itoa(int(id))}
	if etag := c.etags[id]; etag != "" && conditional {
		request.Header = map[string]string{"If-None-Match": etag}
	}
	r, err := c.send(ctx, request)
	if err != nil || r.Outcome != client.Success {
		return product{}, false, err
	}
	if len(c.etags) > maxRemembered {
		clear(c.etags)
	}
	c.etags[id] = r.Header.Get("ETag")
	p, err = decode[product](r)
	return p, err == nil, err
}

func (c *customer) viewImage(ctx context.Context) error {
	var urls []string
	for _, p := range c.products {
		if strings.HasPrefix(p.ImageURL, "/") { // on this store
			urls = append(urls, p.ImageURL)
		}
	}
	if len(urls) == 0 {
		return c.listProducts(ctx)
	}
	_, err := c.get(ctx, "get_image", pick(urls))
	return err
}

// addToBasket gets a product that has plenty of stock, and adds one or two units to the basket.
func (c *customer) addToBasket(ctx context.Context) error {
	id, ok := c.listings.randomCommon()
	if !ok {
		return c.listProducts(ctx)
	}
	p, ok, err := c.getProduct(ctx, "add_to_basket", id, false)
	if err != nil || !ok || p.Owner != c.listings.owner() || p.Stock == 0 || len(c.basket) == maxBasket {
		return err
	}
	if !slices.ContainsFunc(c.basket, func(l orderLine) bool { return l.ProductID == id }) {
		c.basket = append(c.basket, orderLine{ProductID: id, Quantity: 1 + rand.IntN(2)})
	}
	return nil
}
