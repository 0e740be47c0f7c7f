package crowd

import "embed"

// The pictures were drawn for this shop; the SVG that each is made of is beside it.
//
//go:embed wares/*.png
var pictures embed.FS

// ware is one of the merchant's products.
type ware struct {
	name, category, price, slogan, description string
	picture                                    string
	full, low                                  int32 // pieces: it is filled up to full when there are fewer than low
	scarce                                     bool

	id    int32 // 0: not in the store, or not known to be
	looks int   // how often it was looked after
}

func newWares() []ware {
	return []ware{
		{
			name: "Campus Cap", category: "clothing", price: "69.00", picture: "cap", full: 300, low: 150,
			slogan:      "Shade for the walk from the dormitory.",
			description: "Cotton cap with a curved brim and a buckle at the back. One size.",
		},
		{
			name: "Tote Bag", category: "accessories", price: "35.50", picture: "bag", full: 300, low: 150,
			slogan:      "Carries a semester's books.",
			description: "Linen bag with long handles, 38 by 42 cm, printed with water-based ink.",
		},
		{
			name: "Steel Bottle", category: "home", price: "89.90", picture: "bottle", full: 300, low: 150,
			slogan:      "Cold until the evening lecture.",
			description: "Bottle of stainless steel with two walls, 500 ml. Keeps tea hot for eight hours.",
		},
		{
			name: "Founders' Pin", category: "accessories", price: "128.00", picture: "pin", full: 2, low: 1, scarce: true,
			slogan:      "Gone before you have finished reading this.",
			description: "Enamelled pin in a limited edition. There are never more than two.",
		},
	}
}
