package users

import "embed"

// images were drawn for this store. The SVG source of each is beside it.
//
//go:embed catalogue/*.png
var images embed.FS

// item is one of the merchant's products.
type item struct {
	name, category, price, slogan, description string
	image                                      string
	fullStock                                  int32 // units after a restock
	minStock                                   int32 // units below which it is restocked
	scarce                                     bool

	id     int32 // 0 if not known to be in the store
	checks int   // of its stock
}

// catalogue returns everything the merchant sells.
func catalogue() []item {
	return []item{
		{
			name: "Campus Cap", category: "clothing", price: "69.00", image: "cap", fullStock: 300, minStock: 150,
			slogan:      "Shade for the walk from the dormitory.",
			description: "Cotton cap with a curved brim and a buckle at the back. One size.",
		},
		{
			name: "Tote Bag", category: "accessories", price: "35.50", image: "bag", fullStock: 300, minStock: 150,
			slogan:      "Carries a semester's books.",
			description: "Linen bag with long handles, 38 by 42 cm, printed with water-based ink.",
		},
		{
			name: "Steel Bottle", category: "home", price: "89.90", image: "bottle", fullStock: 300, minStock: 150,
			slogan:      "Cold until the evening lecture.",
			description: "Bottle of stainless steel with two walls, 500 ml. Keeps tea hot for eight hours.",
		},
		{
			name: "Founders' Pin", category: "accessories", price: "128.00", image: "pin", fullStock: 2, minStock: 1, scarce: true,
			slogan:      "Gone before you have finished reading this.",
			description: "Enamelled pin in a limited edition. There are never more than two.",
		},
	}
}
