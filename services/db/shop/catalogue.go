package shop

import (
	"context"
	"errors"
	"time"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	"merchstore.io/merchstore/services/db/picture"
)

// Product is a product for sale.
type Product struct {
	ID          int32
	Name        string
	Description string
	Category    string
	Slogan      string
	Price       money.Amount
	Stock       int32
	OwnerID     int32    // 0 for the store itself
	OwnerSID    string   // empty for the store itself
	Picture     *Picture // nil if there is none
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// NewProduct is a product to be stored.
type NewProduct struct {
	Name, Description, Category, Slogan string
	Price                               money.Amount
	Stock                               int32
}

// ProductChange holds new values for the fields of a product. A nil field stays as it is.
type ProductChange struct {
	Name, Description, Category, Slogan *string
	Price                               *money.Amount
	Stock                               *int32
}

// ProductFilter selects products.
type ProductFilter struct {
	Query    string // words of the name or description; empty matches any
	Category string // empty matches any
}

// Errors of catalogue operations.
var (
	ErrProductNotFound = failure.New(failure.NotFound, "product_not_found", "Product not found")
	ErrStaleVersion    = failure.New(failure.Stale, failure.ReasonStaleVersion,
		"the product was changed in the meantime; read it again and retry")
	ErrItemNotFound = failure.New(failure.NotFound, "item_not_found", "Item not found")
)

// CatalogueStore stores products, their pictures, and items.
type CatalogueStore interface {
	// Products returns at most one product less than k.Limit, by relevance if there is a query, and
	// what k.After is for the next page, or 0 after the last. There may be fewer on any page.
	Products(ctx context.Context, f ProductFilter, k Keyset) (page []Product, next int64, err error)
	// Categories returns up to limit categories, those with the most products, in alphabetical
	// order.
	Categories(ctx context.Context, limit int) ([]string, error)
	// Product, UpdateProduct and DeleteProduct return ErrProductNotFound if there is no such
	// product. The latter two return ErrStaleVersion unless ifVersion is nil or the product's
	// version.
	Product(ctx context.Context, id int32) (Product, error)
	// CreateProduct stores the product, its picture unless upload is nil, and the job of scaling it
	// in one transaction.
	CreateProduct(ctx context.Context, ownerID int32, p NewProduct, upload *picture.Original) (Product, error)
	UpdateProduct(ctx context.Context, actorID, id int32, ifVersion *int64, c ProductChange) (Product, error)
	DeleteProduct(ctx context.Context, actorID, id int32, ifVersion *int64) error
	// SetPicture replaces a product's picture, or removes it if upload is nil. It returns the
	// errors of UpdateProduct.
	SetPicture(ctx context.Context, actorID, id int32, ifVersion *int64, upload *picture.Original) (Product, error)
	// PictureContent returns ErrPictureNotFound if there is no such picture.
	PictureContent(ctx context.Context, hash PictureHash, size PictureSize, part ByteRange) (PictureContent, error)
	// SeedProducts stores the products, owned by the store itself, unless there has ever been a
	// product.
	SeedProducts(ctx context.Context, products []SeedProduct) error

	Items(ctx context.Context, k Keyset) ([]Item, error)
	CreateItem(ctx context.Context, name, description string) (Item, error)
	// DeleteItem returns ErrItemNotFound if there is no such item.
	DeleteItem(ctx context.Context, actorID, id int32) error
}

// ProductReader reads one product, batched with concurrent reads.
type ProductReader interface {
	// ProductByID returns nil if there is no such product.
	ProductByID(ctx context.Context, id int32) (*Product, error)
}

// Catalogue implements the business rules of products and items.
type Catalogue struct {
	Store    CatalogueStore
	Reader   ProductReader
	Pictures picture.Limits
}

// List returns a page of the products that match f.
func (c *Catalogue) List(ctx context.Context, f ProductFilter, p Page) (products []Product, next string, err error) {
	k, err := p.keyset()
	if err != nil {
		return nil, "", err
	}
	products, after, err := c.Store.Products(ctx, f, k)
	return products, formatCursor(after), err
}

// maxCategories is the maximum number of categories listed.
const maxCategories = 100

// Categories returns the categories that products have.
func (c *Catalogue) Categories(ctx context.Context) ([]string, error) {
	return c.Store.Categories(ctx, maxCategories)
}

// Get returns a product.
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

// Add creates a product owned by the actor. An empty upload means no picture.
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
	if err := c.authorize(ctx, actor, id); err != nil {
		return Product{}, err
	}
	return c.Store.UpdateProduct(ctx, actor.ID, id, ifVersion, ch)
}

// Delete deletes a product. Orders keep their copy of its name and price.
func (c *Catalogue) Delete(ctx context.Context, actor Actor, id int32, ifVersion *int64) error {
	if err := c.authorize(ctx, actor, id); err != nil {
		return err
	}
	return c.Store.DeleteProduct(ctx, actor.ID, id, ifVersion)
}

// authorize reports an error unless the actor may change the product. It may run before the
// transaction of the change because a product's owner never changes.
func (c *Catalogue) authorize(ctx context.Context, actor Actor, id int32) error {
	p, err := c.Store.Product(ctx, id)
	if errors.Is(err, ErrProductNotFound) {
		return nil // the change itself fails with this error, once the deletion is durable
	}
	if err != nil {
		return err
	}
	if !actor.mayActFor(p.OwnerID) {
		return errNotOwner
	}
	return nil
}

// Item is an entry of the legacy items list.
type Item struct {
	ID          int32
	Name        string
	Description string
}

// ListItems returns a page of the items. It is open to guests.
func (c *Catalogue) ListItems(ctx context.Context, p Page) (items []Item, next string, err error) {
	k, err := p.keyset()
	if err != nil {
		return nil, "", err
	}
	found, err := c.Store.Items(ctx, k)
	if err != nil {
		return nil, "", err
	}
	items, next = paginate(found, k, func(i Item) int32 { return i.ID })
	return items, next, nil
}

// AddItem creates an item.
func (c *Catalogue) AddItem(ctx context.Context, name, description string) (Item, error) {
	return c.Store.CreateItem(ctx, name, description)
}

// DeleteItem deletes an item. Only admins may call it, as items have no owner.
func (c *Catalogue) DeleteItem(ctx context.Context, actor Actor, id int32) error {
	if !actor.Admin {
		return errAdminsOnly("delete an item")
	}
	return c.Store.DeleteItem(ctx, actor.ID, id)
}
