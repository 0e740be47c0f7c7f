package shop

import (
	"context"
	"embed"
	"fmt"

	"merchstore.io/merchstore/services/db/picture"
)

// seedPictures were drawn for this store. The SVG source of each is beside it.
//
//go:embed seed/*.png
var seedPictures embed.FS

// SeedProduct is a product that a new store starts with.
type SeedProduct struct {
	NewProduct
	Picture picture.Original
}

// Seed stores the store's own first products unless there has ever been a product.
func (c *Catalogue) Seed(ctx context.Context) error {
	products := []SeedProduct{
		{NewProduct: NewProduct{
			Name: "SUSTech Hoodie", Category: "clothing", Price: 19900, Stock: 100,
			Slogan:      "Warm on the coldest day of the Shenzhen winter.",
			Description: "Heavy cotton hoodie in university blue, with the emblem stitched on the chest. Unisex.",
		}},
		{NewProduct: NewProduct{
			Name: "SUSTech Mug", Category: "home", Price: 4950, Stock: 250,
			Slogan:      "For the night before the deadline.",
			Description: "Stoneware mug, 350 ml, with the campus skyline around it. Safe in the dishwasher.",
		}},
		{NewProduct: NewProduct{
			Name: "SUSTech Notebook", Category: "stationery", Price: 2500, Stock: 500,
			Slogan:      "Ideas first.",
			Description: "A5 notebook of 160 dotted pages, thread-bound so that it lies flat.",
		}},
	}
	for i, name := range []string{"hoodie", "mug", "notebook"} {
		content, err := seedPictures.ReadFile("seed/" + name + ".png")
		if err != nil {
			return fmt.Errorf("read the picture of the %s: %w", name, err)
		}
		if products[i].Picture, err = c.inspect(content); err != nil {
			return fmt.Errorf("inspect the picture of the %s: %w", name, err)
		}
	}
	return c.Store.SeedProducts(ctx, products)
}
