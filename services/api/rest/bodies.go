package rest

import (
	"strconv"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// What clients send. A pointer is nil where the client says nothing.
type (
	newUser struct {
		SID      string `json:"sid"`
		Username string `json:"username"`
		Email    string `json:"email"`
		Password string `json:"password"`
	}

	credentials struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}

	userChange struct {
		Username        *string `json:"username"`
		Email           *string `json:"email"`
		Password        *string `json:"password"`
		CurrentPassword *string `json:"current_password"`
	}

	newProduct struct {
		Name        string        `json:"name"`
		Description string        `json:"description"`
		Category    string        `json:"category"`
		Price       *money.Amount `json:"price"`
		Slogan      string        `json:"slogan"`
		Stock       int32         `json:"stock"`
	}

	productChange struct {
		Name        *string       `json:"name"`
		Description *string       `json:"description"`
		Category    *string       `json:"category"`
		Price       *money.Amount `json:"price"`
		Slogan      *string       `json:"slogan"`
		Stock       *int32        `json:"stock"`
	}

	newItem struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}

	newLine struct {
		ProductID *int32 `json:"product_id"`
		Quantity  *int32 `json:"quantity"`
	}

	// newOrder is one line at the top, or several in items.
	newOrder struct {
		ProductID *int32     `json:"product_id"`
		Quantity  *int32     `json:"quantity"`
		Items     *[]newLine `json:"items"`
	}
)

// request insists on a price: the DB service could not tell a missing one from a gift. There may be no image.
func (p newProduct) request(image []byte) (*merchstorev1.CreateProductRequest, error) {
	if p.Price == nil {
		return nil, failure.InvalidField("price", "is required")
	}
	return &merchstorev1.CreateProductRequest{
		Name: p.Name, Description: p.Description, Category: p.Category, Slogan: p.Slogan,
		Price: int64(*p.Price), Stock: p.Stock, Image: image,
	}, nil
}

func (o newOrder) lines() ([]*merchstorev1.OrderLine, error) {
	if o.Items == nil {
		line, err := newLine{o.ProductID, o.Quantity}.line("")
		if err != nil {
			return nil, err
		}
		return []*merchstorev1.OrderLine{line}, nil
	}
	if o.ProductID != nil || o.Quantity != nil {
		return nil, failure.InvalidField("items", "must not stand beside product_id and quantity; send one or the other")
	}
	lines := make([]*merchstorev1.OrderLine, 0, len(*o.Items))
	for i, item := range *o.Items {
		line, err := item.line("items[" + strconv.Itoa(i) + "].")
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// line insists that both are given: the DB service could not tell a missing one from 0.
func (l newLine) line(path string) (*merchstorev1.OrderLine, error) {
	switch {
	case l.ProductID == nil:
		return nil, failure.InvalidField(path+"product_id", "is required")
	case l.Quantity == nil:
		return nil, failure.InvalidField(path+"quantity", "is required")
	}
	return &merchstorev1.OrderLine{ProductId: *l.ProductID, Quantity: *l.Quantity}, nil
}

// fieldNames maps the DB service's names back to what the client wrote.
func (o newOrder) fieldNames() []string {
	if o.Items == nil {
		return []string{"lines[0].", ""}
	}
	return []string{"lines", "items"}
}
