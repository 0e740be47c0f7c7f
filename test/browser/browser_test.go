// Package browser tests the storefront as its visitors see it: real pages in a real browser, on a real store.
package browser

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/stack"
)

func TestMain(m *testing.M) { os.Exit(database.With(kafka.StopAfter(m), schema.Migrate).Run()) }

const goodPassword = "password123"

// shop is a store that runs for one test. Its first account is the admin.
type shop struct {
	*stack.Stack

	databaseURL string
}

func start(t *testing.T) shop {
	t.Helper()
	broker := kafka.Shared(t)
	o := stack.Options{DatabaseURL: database.New(t), KafkaBrokers: broker.Addr(), Topic: broker.Topic(t, 1)}
	s := shop{stack.Start(t, o), o.DatabaseURL}
	if err := s.SignUp(t.Context(), "admin", goodPassword); err != nil {
		t.Fatal(err)
	}
	return s
}

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

// onEveryScreen runs a test once on a phone and once on a desk.
func onEveryScreen(t *testing.T, test func(t *testing.T, s shop, v *visitor)) {
	t.Parallel()
	s := start(t)
	for _, screen := range []screen{phone, desktop} {
		t.Run(screen.name, func(t *testing.T) { test(t, s, visit(t, s.URL, screen)) })
	}
}

// signUp makes an account on its page, and is logged in by that.
func (v *visitor) signUp(username string) {
	v.t.Helper()
	v.enter("/signup", "#signup", username)
	v.awaitText("#products", "SUSTech Hoodie")
}

func (v *visitor) logIn(username string) { v.t.Helper(); v.enter("/login", "#login", username) }

// enter fills in a form after which one is a member.
func (v *visitor) enter(path, form, username string) {
	v.t.Helper()
	v.open(path)
	v.fill(form, "username", username, "password", goodPassword)
	v.submit(form)
	v.arrive("/dashboard")
}

// menu opens the menu where the screen has no room for it.
func (v *visitor) menu(css string) {
	v.t.Helper()
	if v.screen.mobile {
		v.click("#menu-button")
	}
	v.click("#menu " + css)
}

// loaded tells whether pictures are there, and some are.
const loaded = `(() => { const all = Array.from(document.querySelectorAll("main .picture img:not([hidden])"));
	return all.length > 0 && all.every((i) => i.complete && i.naturalWidth > 0); })()`

func TestVisitorsSignUpAndLogIn(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, _ shop, v *visitor) {
		v.open("/")
		v.awaitText("h1", "Wear it")
		v.awaitText("main a[href='/signup']", "Sign up")
		v.look("home")
		v.open("/dashboard") // for members
		v.arrive("/login")
		v.look("login")
		yoga := "yoga-" + v.screen.name
		v.expecting("status of 401", func() {
			v.fill("#login", "username", yoga, "password", "not the one")
			v.submit("#login")
			v.awaitText(".form-error", "password")
		})
		v.open("/signup")
		v.fill("#signup", "username", yoga, "password", "short")
		v.submit("#signup")
		v.awaitText("#password-error", "8")
		if got := evaluate[string](v, "document.activeElement.name"); got != "password" {
			t.Errorf("the focus is on %s, not on the field that is wrong", got)
		}
		v.look("signup")
		v.expecting("status of 409", func() {
			v.fill("#signup", "username", "ADMIN", "password", goodPassword)
			v.submit("#signup")
			v.awaitText("#username-error", "taken")
		})
		v.signUp(yoga)
		if got := evaluate[string](v, "document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)"); strings.Contains(got, "eyJ") {
			t.Errorf("scripts can read the token: %s", got)
		}
		v.menu("#log-out")
		v.await("location.pathname !== '/dashboard'")
		v.logIn(yoga)
	})
}

func TestProductsAreAddedShownAndChanged(t *testing.T) {
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
		v.awaitText("#notice", "is on the shelf")
		v.awaitText("#products h2", "Scarf & <b>Hat</b>") // which is not read as HTML

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
		v.expecting("status of 412", func() { // somebody changes it while it is being edited
			s.change(t, path, map[string]any{"stock": 2})
			v.fill("#edit-form", "slogan", "Warm three times")
			v.submit("#edit-form")
			v.awaitText("#edit-form .form-error", "was changed meanwhile")
			v.awaitText("#product-stock", "2")
		})
		v.submit("#edit-form")
		v.awaitText("#product-slogan", "Warm three times")
		before := evaluate[string](v, "document.querySelector('#picture').src")
		blue := drawn(t, color.RGBA{B: 200, A: 255})
		v.expecting("status of 422", func() { // the browser shows a PNG without its end
			v.upload("#picture-form [name=image]", blue[:len(blue)-12])
			v.await("document.querySelector('#preview').naturalWidth > 0")
			v.submit("#picture-form")
			v.awaitText("#image-error", "ends too early")
			v.await("document.querySelector('#picture-form').getAttribute('aria-busy') === 'false'")
		})
		v.expecting("status of 412", func() { // somebody changes the product while a picture is chosen
			v.upload("#picture-form [name=image]", blue)
			s.change(t, path, map[string]any{"stock": 1})
			v.submit("#picture-form")
			v.awaitText("#picture-form .form-error", "was changed meanwhile")
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

// change makes the admin change a product.
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

// What others change while the sizes of a picture are awaited is not taken for something that the owner has seen.
func TestEditsAreNotMadeToAVersionNobodySaw(t *testing.T) {
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

	v.fill("#edit-form", "slogan", "Warm four times") // and the sizes alone are in nobody's way
	v.upload("#picture-form [name=image]", drawn(t, color.RGBA{R: 100, A: 255}))
	v.submit("#picture-form")
	v.await("document.querySelector('#picture-state').checkVisibility()")
	v.await("!document.querySelector('#picture-state').checkVisibility()")
	v.submit("#edit-form")
	v.awaitText("#product-slogan", "Warm four times")
}

func TestAccountsAreTheirOwners(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, _ shop, v *visitor) {
		yoga, yogi := "yoga-"+v.screen.name, "yogi-"+v.screen.name
		v.signUp(yoga)
		v.open("/account")
		v.awaitText("h1", "My account")
		v.await("document.querySelector('#profile [name=username]').value === " + quoted(yoga))
		v.look("account")
		v.fill("#profile", "username", yogi, "email", yogi+"@example.com")
		v.submit("#profile")
		v.awaitText("#notice", "Your account is saved")
		v.expecting("status of", func() {
			v.fill("#password-form", "current_password", "not the one", "password", "password456")
			v.submit("#password-form")
			v.await("document.querySelector('#password-form [aria-invalid=true], #password-form .form-error') !== null")
		})
		v.fill("#password-form", "current_password", goodPassword, "password", "password456")
		v.submit("#password-form")
		v.await("document.querySelector('#password-form [name=password]').value === ''")
		v.click("#deactivate")
		v.click("#confirm-yes")
		v.await("location.pathname !== '/account'")
		v.open("/login")
		v.expecting("status of 401", func() {
			v.fill("#login", "username", yogi, "password", "password456")
			v.submit("#login")
			v.awaitText(".form-error", "deactivated")
		})
	})
}

func TestAdminsSeeEverything(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, s shop, v *visitor) {
		yoga := "yoga-" + v.screen.name
		if err := s.SignUp(t.Context(), yoga, goodPassword); err != nil {
			t.Fatal(err)
		}
		token, err := s.Login(t.Context(), yoga, goodPassword)
		if err != nil {
			t.Fatal(err)
		}
		status, _, err := s.Do(t.Context(), http.MethodPost, "/api/v1/orders", token, map[string]any{"product_id": 1, "quantity": 1})
		if err != nil || status != http.StatusCreated {
			t.Fatal(status, err)
		}
		v.logIn("admin")
		v.open("/admin/users")
		v.awaitText("#users", yoga)
		v.look("admin-users")
		v.open("/admin/orders")
		v.awaitText("#orders", "199.00")
		v.look("admin-orders")
		v.open("/admin/logs")
		v.await("document.querySelector('#stream-state').textContent !== ''")
		// From the page itself, so that it comes after the stream has begun.
		v.await(`(fetch("/api/v1"), Array.from(document.querySelectorAll("#log-lines li")).some((l) => l.textContent.includes("Accessed the welcome endpoint")))`)
		v.look("admin-logs")

		const lines = "document.querySelectorAll('#log-lines li').length"
		v.click("#pause")
		before := evaluate[int](v, lines)
		v.await(`(fetch("/api/v1"), /: [1-9][0-9]/.test(document.querySelector("#held-back").textContent))`)
		if n := evaluate[int](v, lines); n != before {
			t.Errorf("while it is paused, the log grows from %d lines to %d", before, n)
		}
		v.click("#pause")
		v.await(fmt.Sprintf("%s > %d && document.querySelector('#held-back').textContent === ''", lines, before))
	})
}

func TestPagesSpeakChineseToo(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, _ shop, v *visitor) {
		v.open("/")
		v.menu("#language")
		v.await("document.documentElement.lang.startsWith('zh')")
		v.open("/login")
		v.await("/[\\u4e00-\\u9fff]/.test(document.querySelector('h1').textContent)")
		v.look("login-chinese")
	})
}

func TestPagesStayEnglishWithoutTheirTexts(t *testing.T) {
	t.Parallel()
	v := visit(t, start(t).URL, desktop)
	v.spoilAnswers("*/text/*.json", func(ctx context.Context, id fetch.RequestID) error {
		_, err := chromedp.Call(ctx, fetch.FulfillRequest, fetch.FulfillRequestParams{RequestID: id, ResponseCode: http.StatusServiceUnavailable})
		return err
	})
	v.expecting("status of 503", func() {
		v.open("/")
		v.awaitText("#page-problem", "Something unexpected happened")
		v.awaitText("h1", "Wear it")
		v.look("without-texts")
	})
	v.click("#problem-again")
	v.await("!document.querySelector('#page-problem').checkVisibility() && " + ready)
}

func TestPagesAreUsedWithAKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t)
	v := visit(t, s.URL, desktop)
	v.open("/login")
	v.run(chromedp.KeyEvent(kb.Tab))
	if got := evaluate[string](v, "document.activeElement.className"); got != "skip" {
		t.Errorf("first comes %q, not the way past the menu", got)
	}
	v.run(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	if got := evaluate[string](v, "document.activeElement.name"); got != "username" {
		t.Errorf("after the way past the menu comes %q", got)
	}
	v.run(chromedp.KeyEvent("admin"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(goodPassword), chromedp.KeyEvent(kb.Enter))
	v.arrive("/dashboard")
	v.awaitText("#products", "SUSTech Hoodie")
	v.run(chromedp.Focus(chromedp.CSS("#products [data-part=delete]")), chromedp.KeyEvent(kb.Enter))
	v.awaitText("#confirm", "No, go back")
	v.run(chromedp.KeyEvent(kb.Escape))
	v.await("!document.querySelector('#confirm').open && document.activeElement.matches('[data-part=delete]')")
}
