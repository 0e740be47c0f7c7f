package crowd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"

	"merchstore.io/merchstore/services/shoppers/client"
)

// scarcely is how often the merchant looks at what is scarce before there is more of it.
const scarcely = 10

// merchant owns the products that the shoppers buy, and looks after them.
type merchant struct {
	*person

	shelf *shelf
	wares []ware
	next  int // of the wares
}

// product is what the merchant and shoppers know of a product.
type product struct {
	ID       int32
	Name     string
	Stock    int32
	Owner    string `json:"owner_sid"`
	ImageURL string `json:"image_url"`
}

type page struct {
	Products   []product
	NextCursor string `json:"next_cursor"`
}

// act looks after one ware.
func (m *merchant) act(ctx context.Context) error {
	w := &m.wares[m.next]
	m.next = (m.next + 1) % len(m.wares)
	if w.id == 0 {
		return m.offer(ctx, w)
	}
	return m.restock(ctx, w)
}

// offer puts a ware into the store, unless it is there already: the answer of the last time may have been lost.
func (m *merchant) offer(ctx context.Context, w *ware) error {
	a, err := m.get(ctx, "merchant_look", "/api/v1/products?limit=200&q="+url.QueryEscape(w.name))
	if err != nil || a.Outcome != client.Done {
		return err
	}
	found, err := read[page](a)
	if err != nil {
		return err
	}
	for _, p := range found.Products {
		if p.Owner == m.username() {
			w.id = p.ID
		}
	}
	if w.id == 0 {
		if err := m.create(ctx, w); err != nil {
			return err
		}
	}
	if w.id != 0 {
		m.shelf.put(*w, m.username())
	}
	return nil
}

func (m *merchant) create(ctx context.Context, w *ware) error {
	body, kind, err := w.form()
	if err != nil {
		return err
	}
	a, err := m.send(ctx, client.Request{Action: "add_product", Method: http.MethodPost, Path: "/api/v1/products", Body: body, Type: kind})
	if err != nil || a.Outcome != client.Done {
		return err
	}
	p, err := read[product](a)
	w.id = p.ID
	return err
}

// form is the ware with its picture.
func (w *ware) form() (body []byte, kind string, err error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for _, field := range [][2]string{
		{"name", w.name},
		{"description", w.description},
		{"category", w.category},
		{"price", w.price},
		{"slogan", w.slogan},
		{"stock", strconv.Itoa(int(w.full))},
	} {
		if err := form.WriteField(field[0], field[1]); err != nil {
			return nil, "", fmt.Errorf("write a form: %w", err)
		}
	}
	drawn, err := pictures.ReadFile("wares/" + w.picture + ".png")
	if err != nil {
		return nil, "", fmt.Errorf("read the picture of %s: %w", w.name, err)
	}
	part, err := form.CreateFormFile("image", w.picture+".png")
	if err != nil {
		return nil, "", fmt.Errorf("write a form: %w", err)
	}
	if _, err := part.Write(drawn); err != nil {
		return nil, "", fmt.Errorf("write a form: %w", err)
	}
	if err := form.Close(); err != nil {
		return nil, "", fmt.Errorf("write a form: %w", err)
	}
	return b.Bytes(), form.FormDataContentType(), nil
}

// restock fills a ware up when there is little left, but only if nobody buys some in between: the merchant comes by again.
func (m *merchant) restock(ctx context.Context, w *ware) error {
	w.looks++
	a, err := m.get(ctx, "merchant_look", w.path())
	if err != nil {
		return err
	}
	if a.Status == http.StatusNotFound {
		m.shelf.take(*w)
		w.id = 0
		return nil
	}
	if a.Outcome != client.Done {
		return nil
	}
	p, err := read[product](a)
	if err == nil && p.Owner != m.username() { // of an account that is of no use any more
		m.shelf.take(*w)
		w.id = 0
		return nil
	}
	if err != nil || p.Stock >= w.low || (w.scarce && w.looks%scarcely != 0) {
		return err
	}
	_, err = m.sendJSON(ctx, client.Request{
		Action: "restock", Method: http.MethodPatch, Path: w.path(), Header: map[string]string{"If-Match": a.Header.Get("ETag")},
	}, map[string]int32{"stock": w.full})
	return err
}

func (w *ware) path() string { return "/api/v1/products/" + strconv.Itoa(int(w.id)) }

// close takes the products off the shelf, and ends the account.
func (m *merchant) close(ctx context.Context) error {
	var errs []error
	for _, w := range m.wares {
		if w.id != 0 {
			m.shelf.take(w)
			errs = append(errs, m.lastly(ctx, "remove "+w.name, client.Request{Action: "remove_product", Method: http.MethodDelete, Path: w.path()}))
		}
	}
	return errors.Join(append(errs, m.leave(ctx))...)
}

func read[T any](a client.Answer) (v T, err error) {
	if err := json.Unmarshal(a.Body, &v); err != nil {
		return v, fmt.Errorf("understand an answer of the store: %w", err)
	}
	return v, nil
}
