package browser

import (
	"net/http"
	"testing"
)

// call makes an API call as a user, whose account it creates if necessary.
func (s shop) call(t *testing.T, username, path string, body map[string]any) {
	t.Helper()
	_ = s.SignUp(t.Context(), username, goodPassword) // fails if the account exists
	token, err := s.Login(t.Context(), username, goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	status, answer, err := s.Do(t.Context(), http.MethodPost, "/api/v1"+path, token, body)
	if err != nil || status != http.StatusCreated {
		t.Fatalf("%s: %d %s %v", path, status, answer, err)
	}
}

// choose chooses an option of a select by its text.
func (v *visitor) choose(css, option string) {
	v.t.Helper()
	v.await(`Array.from(document.querySelector(` + quoted(css) + `).options).some((o) => o.text === ` + quoted(option) + `)`)
	evaluate[bool](v, `(() => { const select = document.querySelector(`+quoted(css)+`);
		select.value = Array.from(select.options).find((o) => o.text === `+quoted(option)+`).value;
		return select.dispatchEvent(new Event("change"));
	})()`)
}

func TestSellersAndAdminsSeeWhatWasSold(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, s shop, v *visitor) {
		seller, scarf := "seller-"+v.screen.name, "Scarf of "+v.screen.name
		v.signUp(seller)
		v.menu("[href='/sales']")
		v.arrive("/sales")
		v.awaitText("#empty", "Nothing was sold")
		s.call(t, seller, "/products", map[string]any{"name": scarf, "price": 59.9, "stock": 10})
		v.open("/dashboard")
		v.awaitText("#products", scarf)
		id := evaluate[int](v, `Number(Array.from(document.querySelectorAll("#products > li")).find((l) => l.textContent.includes(`+quoted(scarf)+`)).id.split("-")[1])`)
		s.call(t, "buyer", "/orders", map[string]any{"product_id": id, "quantity": 3})
		s.call(t, "buyer", "/orders", map[string]any{"product_id": 1, "quantity": 1})

		const bars = "document.querySelectorAll('#chart rect').length === 1"
		v.open("/sales")
		v.awaitText("#by-product", scarf)
		v.awaitText("#revenue", "179.70")
		v.await(bars)
		if evaluate[bool](v, "document.querySelector('#by-product').textContent.includes('Hoodie')") {
			t.Error("a seller sees what others sell")
		}
		v.click("#sales summary")
		v.look("sales")
		v.menu("#log-out")
		v.arrive("/")

		v.logIn("admin")
		v.open("/sales")
		v.awaitText("#by-product", scarf)
		v.choose("#product", "SUSTech Hoodie")
		v.awaitText("#chart-title", "Hoodie")
		v.choose("#days", "7 days")
		v.await(bars)
		v.awaitText("#chart-title", "Hoodie")
		v.menu("#language")
		v.await("document.documentElement.lang.startsWith('zh')")
		v.awaitText("#by-product", scarf)
		v.look("sales-chinese")
	})
}

func TestProductsAreFoundAsOneTypes(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, s shop, v *visitor) {
		v.signUp("yoga-" + v.screen.name)
		v.fill("#search", "q", "mug")
		v.await("document.querySelectorAll('#products > li').length === 1")
		v.awaitText("#products", "SUSTech Mug")
		v.fill("#search", "q", "su")
		v.await("document.querySelectorAll('#products > li').length === 3")
		v.choose("#in-category", "stationery")
		v.await("document.querySelectorAll('#products > li').length === 1")
		v.await("location.search === '?q=su&category=stationery'")

		s.change(t, "/products/3", map[string]any{"stock": 0})
		defer s.change(t, "/products/3", map[string]any{"stock": 500})
		v.open("/dashboard?category=stationery")
		v.awaitText("#products .badge", "Sold out")
		v.await("document.querySelector('#in-category').value === 'stationery'")
		v.look("sold-out")
		v.open("/products/3")
		v.awaitText("#sold-out", "Sold out")
		v.await("!document.querySelector('#buy').checkVisibility()")
	})
}
