package browser

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"testing"
)

func drawn(t *testing.T, c color.Color) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 900, 600))
	for y := range 600 {
		for x := range 900 {
			m.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSellersAddAndEditProducts(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, s shop, v *visitor) {
		v.signUp("yoga-" + v.screen.name)
		v.await(loaded)
		v.look("dashboard")
		v.click("#add summary")
		v.fill("#add-form", "name", "Scarf & <b>Hat</b>", "description", "Two in one", "slogan", "Warm twice", "category", "clothing", "price", "59.90", "stock", "3")
		v.upload("#add-form [name=image]", []byte("<script>alert(1)</script>"))
		v.awaitText("#image-error", "")
		v.submit("#add-form")
		v.await("document.querySelector('#add-form [aria-invalid=true]') !== null")
		v.upload("#add-form [name=image]", drawn(t, color.RGBA{R: 200, A: 255}))
		v.await("document.querySelector('#preview').naturalWidth > 0")
		v.look("add")
		v.submit("#add-form")
		v.awaitText("#notice", "was added")
		v.awaitText("#products h2", "Scarf & <b>Hat</b>") // not interpreted as HTML

		v.fill("#search", "q", "two in ONE")
		v.submit("#search")
		v.await("document.querySelectorAll('#products > li').length === 1")
		v.click("#products h2 a")
		v.awaitText("h1", "Scarf")
		path := evaluate[string](v, "location.pathname")
		v.await(`document.querySelector("#picture").src.includes("/full") && document.querySelector("#picture").naturalWidth === 900`)
		v.look("product")

		v.fill("#edit-form", "price", "49.90")
		v.submit("#edit-form")
		v.awaitText("#product-price", "49.90")
		v.expecting("status of 412", func() { // another user changes the product while it is being edited
			s.change(t, path, map[string]any{"stock": 2})
			v.fill("#edit-form", "slogan", "Warm three times")
			v.submit("#edit-form")
			v.awaitText("#edit-form .form-error", "has changed")
			v.awaitText("#product-stock", "2")
		})
		v.submit("#edit-form")
		v.awaitText("#product-slogan", "Warm three times")
		before := evaluate[string](v, "document.querySelector('#picture').src")
		blue := drawn(t, color.RGBA{B: 200, A: 255})
		v.expecting("status of 422", func() { // a truncated PNG, which the browser can preview
			v.upload("#picture-form [name=image]", blue[:len(blue)-12])
			v.await("document.querySelector('#preview').naturalWidth > 0")
			v.submit("#picture-form")
			v.awaitText("#image-error", "ends too early")
			v.await("document.querySelector('#picture-form').getAttribute('aria-busy') === 'false'")
		})
		v.expecting("status of 412", func() { // another user changes the product while a picture is selected
			v.upload("#picture-form [name=image]", blue)
			s.change(t, path, map[string]any{"stock": 1})
			v.submit("#picture-form")
			v.awaitText("#picture-form .form-error", "has changed")
			v.awaitText("#product-stock", "1")
		})
		v.submit("#picture-form")
		v.await(`document.querySelector("#picture").src !== ` + quoted(before) + ` && document.querySelector("#picture").src.includes("/full")`)
		v.click("#remove-picture")
		v.click("#confirm-yes")
		v.await("document.querySelector('#picture').hidden")
		v.submit("#delete-form")
		v.look("delete")
		v.click("#confirm-yes")
		v.arrive("/dashboard")
		v.awaitText("#notice", "was deleted")
	})
}

// change changes a product as the admin.
func (s shop) change(t *testing.T, path string, change map[string]any) {
	t.Helper()
	token, err := s.Login(t.Context(), "admin", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	status, _, err := s.Do(t.Context(), http.MethodPatch, "/api/v1"+path, token, change)
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
}

// TestConcurrentChangesAreNotOverwritten: while the page polls for the sizes of a picture, changes
// by others do not count as seen by the owner.
func TestConcurrentChangesAreNotOverwritten(t *testing.T) {
	t.Parallel()
	s := start(t)
	v := visit(t, s.URL, desktop)
	v.logIn("admin")
	v.open("/products/1")
	v.fill("#edit-form", "slogan", "Warm three times")
	v.upload("#picture-form [name=image]", drawn(t, color.RGBA{G: 200, A: 255}))
	v.submit("#picture-form")
	v.awaitText("#notice", "was uploaded")
	s.change(t, "/products/1", map[string]any{"slogan": "Cool"})
	v.await(`document.querySelector("#picture").src.includes("/full")`)
	v.expecting("status of 412", func() {
		v.submit("#edit-form")
		v.awaitText("#edit-form .form-error", "Slogan is now: Cool")
	})
	v.submit("#edit-form")
	v.awaitText("#product-slogan", "Warm three times")

	v.fill("#edit-form", "slogan", "Warm four times") // the sizes alone are not a conflict
	v.upload("#picture-form [name=image]", drawn(t, color.RGBA{R: 100, A: 255}))
	v.submit("#picture-form")
	v.await("document.querySelector('#picture-state').checkVisibility()")
	v.await("!document.querySelector('#picture-state').checkVisibility()")
	v.submit("#edit-form")
	v.awaitText("#product-slogan", "Warm four times")
}
