package users

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"

	"merchstore.io/merchstore/services/loadgen/client"
)

// scarceRestockEvery is the number of stock checks between two restocks of a scarce item.
const scarceRestockEvery = 10

// merchant sells the items of the catalogue and restocks them.
type merchant struct {
	*user

	listings *listings
	items    []item
	next     int // index of the item to check next
}

// act adds one item to the store, or checks its stock.
func (m *merchant) act(ctx context.Context) error {
	it := &m.items[m.next]
	m.next = (m.next + 1) % len(m.items)
	if it.id == 0 {
		return m.list(ctx, it)
	}
	return m.checkStock(ctx, it)
}

// list adds an item to the store and to the listings. It first looks for the item, because the
// response to an earlier attempt may have been lost.
func (m *merchant) list(ctx context.Context, it *item) error {
	r, err := m.get(ctx, "find_product", "/api/v1/products?limit=200&q="+url.QueryEscape(it.name))
	if err != nil || r.Outcome != client.Success {
		return err
	}
	page, err := decode[productPage](r)
	if err != nil {
		return err
	}
	for _, p := range page.Products {
		if p.Owner == m.username() {
			it.id = p.ID
		}
	}
	if it.id == 0 {
		if err := m.create(ctx, it); err != nil {
			return err
		}
	}
	if it.id != 0 {
		m.listings.add(*it, m.username())
	}
	return nil
}

func (m *merchant) create(ctx context.Context, it *item) error {
	body, contentType, err := it.form()
	if err != nil {
		return fmt.Errorf("encode %s as a form: %w", it.name, err)
	}
	r, err := m.send(ctx, client.Request{
		Action: "add_product", Method: http.MethodPost, Path: "/api/v1/products", Body: body, ContentType: contentType,
	})
	if err != nil || r.Outcome != client.Success {
		return err
	}
	p, err := decode[product](r)
	it.id = p.ID
	return err
}

// form encodes the item and its image as multipart/form-data.
func (it *item) form() (body []byte, contentType string, err error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for _, field := range [][2]string{
		{"name", it.name},
		{"description", it.description},
		{"category", it.category},
		{"price", it.price},
		{"slogan", it.slogan},
		{"stock", strconv.Itoa(int(it.fullStock))},
	} {
		if err := form.WriteField(field[0], field[1]); err != nil {
			return nil, "", err
		}
	}
	image, err := images.ReadFile("catalogue/" + it.image + ".png")
	if err != nil {
		return nil, "", err
	}
	part, err := form.CreateFormFile("image", it.image+".png")
	if err != nil {
		return nil, "", err
	}
	if _, err := part.Write(image); err != nil {
		return nil, "", err
	}
	if err := form.Close(); err != nil {
		return nil, "", err
	}
	return b.Bytes(), form.FormDataContentType(), nil
}

// checkStock restocks an item that is running low. If a customer orders some in between, the update
// is stale and left to the next check.
func (m *merchant) checkStock(ctx context.Context, it *item) error {
	it.checks++
	r, err := m.get(ctx, "check_stock", it.path())
	if err != nil {
		return err
	}
	if r.Status == http.StatusNotFound {
		m.delist(it)
		return nil
	}
	if r.Outcome != client.Success {
		return nil
	}
	p, err := decode[product](r)
	if err == nil && p.Owner != m.username() { // the merchant has a new account
		m.delist(it)
		return nil
	}
	if err != nil || p.Stock >= it.minStock || (it.scarce && it.checks%scarceRestockEvery != 0) {
		return err
	}
	_, err = m.sendJSON(ctx, client.Request{
		Action: "restock", Method: http.MethodPatch, Path: it.path(), Header: map[string]string{"If-Match": r.Header.Get("ETag")},
	}, map[string]int32{"stock": it.fullStock})
	return err
}

func (m *merchant) delist(it *item) {
	m.listings.remove(*it)
	it.id = 0
}

func (it *item) path() string { return "/api/v1/products/" + strconv.Itoa(int(it.id)) }

// leave deletes the products and deactivates the account.
func (m *merchant) leave(ctx context.Context) error {
	var errs []error
	for _, it := range m.items {
		if it.id != 0 {
			m.listings.remove(it)
			errs = append(errs, m.cleanUp(ctx, "delete "+it.name, client.Request{
				Action: "delete_product", Method: http.MethodDelete, Path: it.path(),
			}))
		}
	}
	return errors.Join(append(errs, m.deactivate(ctx))...)
}
