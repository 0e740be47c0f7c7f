package shop

import (
	"context"
	"errors"
	"time"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	"merchstore.io/merchstore/services/db/picture"
)

// Product is a thing for sale.
type Product struct {
	ID          int32
	Name        string
	Description string
	Category    string
	Slogan      string
	Price       money.Amount
	Stock       int32
	OwnerID     int32    // 0: the store itself
	OwnerSID    string   // empty: the store itself
	Picture     *Picture // nil: none
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// NewProduct is a product about to be added.
type NewProduct struct {
	Name, Description, Category, Slogan string
	Price                               money.Amount
	Stock                               int32
}

// ProductChange holds the new values of the fields to change.
type ProductChange struct {
	Name, Description, Category, Slogan *string
	Price                               *money.Amount
	Stock                               *int32
}

// ProductFilter narrows a list of products down.
type ProductFilter struct {
	Query    string // part of the name or description; empty: any
	Category string // empty: any
}

// Failures of the catalogue.
var (
	ErrProductNotFound = failure.New(failure.NotFound, "product_not_found", "Product not found")
	ErrStaleVersion    = failure.New(failure.Stale, failure.ReasonStaleVersion,
		"the product was changed meanwhile; read it again and decide anew")
)

// CatalogueStore keeps products and items.
type CatalogueStore interface {
	Products(ctx context.Context, f ProductFilter, s Span) ([]Product, error)
	// Product, UpdateProduct and DeleteProduct fail with ErrProductNotFound; the latter two with ErrStaleVersion
	// unless ifVersion is nil or the product's.
	Product(ctx context.Context, id int32) (Product, error)
	// CreateProduct adds the picture too, unless it is nil, and the job of making its sizes: all of it or nothing.
	CreateProduct(ctx context.Context, ownerID int32, p NewProduct, upload *picture.Original) (Product, error)
	UpdateProduct(ctx context.Context, id int32, ifVersion *int64, c ProductChange) (Product, error)
	DeleteProduct(ctx context.Context, id int32, ifVersion *int64) error
	// SetPicture gives a product another picture, or none if upload is nil; it fails as UpdateProduct does.
	SetPicture(ctx context.Context, id int32, ifVersion *int64, upload *picture.Original) (Product, error)
	// PictureContent fails with ErrPictureNotFound.
	PictureContent(ctx context.Context, hash PictureHash, size PictureSize) (PictureContent, error)
	// SeedProducts adds the products, owned by the store, unless there has ever been one.
	SeedProducts(ctx context.Context, products []SeedProduct) error

	Items(ctx context.Context, s Span) ([]Item, error)
	CreateItem(ctx context.Context, name, description string) (Item, error)
}

// ProductReader reads one product together with those that others read at the same time; nil if it is not on the shelf.
type ProductReader interface {
	ProductByID(ctx context.Context, id int32) (*Product, error)
}

// Catalogue is the rules about what is on the shelf.
type Catalogue struct {
	Store    CatalogueStore
	Reader   ProductReader
	Pictures picture.Limits
}

// List pages through the products.
func (c *Catalogue) List(ctx context.Context, f ProductFilter, p Page) (products []Product, next string, err error) {
	s, err := p.span()
	if err != nil {
		return nil, "", err
	}
	found, err := c.Store.Products(ctx, f, s)
	if err != nil {
		return nil, "", err
	}
	products, next = cut(found, s, func(p Product) int32 { return p.ID })
	return products, next, nil
}

// Get reads a product.
func (c *Catalogue) Get(ctx context.Context, id int32) (Product, error) {
	p, err := c.Reader.ProductByID(ctx, id)
	if err != nil {
		return Product{}, err
	}
	if p == nil {
		return Product{}, ErrProductNotFound
	}
	return *p, nil
}

// Add puts a product on the shelf, owned by the actor. upload may be empty.
func (c *Catalogue) Add(ctx context.Context, actor Actor, p NewProduct, upload []byte) (Product, error) {
	if len(upload) == 0 {
		return c.Store.CreateProduct(ctx, actor.ID, p, nil)
	}
	original, err := c.inspect(upload)
	if err != nil {
		return Product{}, err
	}
	return c.Store.CreateProduct(ctx, actor.ID, p, &original)
}

// Update changes a product.
func (c *Catalogue) Update(ctx context.Context, actor Actor, id int32, ifVersion *int64, ch ProductChange) (Product, error) {
	if err := c.mayChange(ctx, actor, id); err != nil {
		return Product{}, err
	}
	return c.Store.UpdateProduct(ctx, id, ifVersion, ch)
}

// Delete takes a product off the shelf.
func (c *Catalogue) Delete(ctx context.Context, actor Actor, id int32, ifVersion *int64) error {
	if err := c.mayChange(ctx, actor, id); err != nil {
		return err
	}
	return c.Store.DeleteProduct(ctx, id, ifVersion)
}

// mayChange can be asked ahead of the change because a product never changes hands.
func (c *Catalogue) mayChange(ctx context.Context, actor Actor, id int32) error {
	p, err := c.Store.Product(ctx, id)
	if errors.Is(err, ErrProductNotFound) {
		return nil // the change finds so itself, and its store answers so once that is durable
	}
	if err != nil {
		return err
	}
	if !actor.mayActFor(p.OwnerID) {
		return errNotYours
	}
	return nil
}

// Item is a note on the older board of things.
type Item struct {
	ID          int32
	Name        string
	Description string
}

// ListItems pages through the items. Visitors may.
func (c *Catalogue) ListItems(ctx context.Context, p Page) (items []Item, next string, err error) {
	s, err := p.span()
	if err != nil {
		return nil, "", err
	}
	found, err := c.Store.Items(ctx, s)
	if err != nil {
		return nil, "", err
	}
	items, next = cut(found, s, func(i Item) int32 { return i.ID })
	return items, next, nil
}

// AddItem adds an item.
func (c *Catalogue) AddItem(ctx context.Context, name, description string) (Item, error) {
	return c.Store.CreateItem(ctx, name, description)
}
