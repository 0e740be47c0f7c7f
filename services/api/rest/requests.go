package rest

import (
	"strconv"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// Bodies of requests. A nil pointer is a field that was not sent.
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

	orderLine struct {
		ProductID *int32 `json:"product_id"`
		Quantity  *int32 `json:"quantity"`
	}

	// newOrder has one line at the top, or any number in items.
	newOrder struct {
		ProductID *int32       `json:"product_id"`
		Quantity  *int32       `json:"quantity"`
		Items     *[]orderLine `json:"items"`
	}
)

// request returns the DB service's request. It checks that there is a price, as protobuf cannot
// tell a missing one from 0.
func (p newProduct) request() (*merchstorev1.CreateProductRequest, error) {
	if p.Price == nil {
		return nil, failure.InvalidField("price", "is required")
	}
	return &merchstorev1.CreateProductRequest{
		Name: p.Name, Description: p.Description, Category: p.Category, Slogan: p.Slogan,
		Price: int64(*p.Price), Stock: p.Stock,
	}, nil
}

// maxLines is the maximum number of products of an order. The DB service has the same limit.
const maxLines = 50

func (o newOrder) lines() ([]*merchstorev1.OrderLine, error) {
	if o.Items == nil {
		line, err := orderLine{o.ProductID, o.Quantity}.line("")
		if err != nil {
			return nil, err
		}
		return []*merchstorev1.OrderLine{line}, nil
	}
	if o.ProductID != nil || o.Quantity != nil {
		return nil, failure.InvalidField("items",
			"cannot be combined with product_id and quantity; send one or the other")
	}
	if len(*o.Items) > maxLines {
		return nil, failure.InvalidField("items", "must hold 1 to "+strconv.Itoa(maxLines)+" products, each once")
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

// line returns the DB service's order line. It checks that both fields are given, as protobuf
// cannot tell a missing one from 0. path is the prefix of their names in errors.
func (l orderLine) line(path string) (*merchstorev1.OrderLine, error) {
	switch {
	case l.ProductID == nil:
		return nil, failure.InvalidField(path+"product_id", "is required")
	case l.Quantity == nil:
		return nil, failure.InvalidField(path+"quantity", "is required")
	}
	return &merchstorev1.OrderLine{ProductId: *l.ProductID, Quantity: *l.Quantity}, nil
}

// fieldNames are the arguments of renameFields for errors about o.
func (o newOrder) fieldNames() []string {
	if o.Items == nil {
		return []string{"lines[0].", ""}
	}
	return []string{"lines", "items"}
}
