// Package browser tests the storefront as its users see it: in a real browser, on a real store.
package browser

import (
	"context"
	"fmt"
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

// shop is the store of one test. Its first account is the admin.
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

// onEveryScreen runs a test on a phone and on a desktop.
func onEveryScreen(t *testing.T, test func(t *testing.T, s shop, v *visitor)) {
	t.Parallel()
	s := start(t)
	for _, screen := range []screen{phone, desktop} {
		t.Run(screen.name, func(t *testing.T) { test(t, s, visit(t, s.URL, screen)) })
	}
}

// signUp creates an account on the sign-up page, which also logs in.
func (v *visitor) signUp(username string) {
	v.t.Helper()
	v.enter("/signup", "#signup", username)
	v.awaitText("#products", "SUSTech Hoodie")
}

func (v *visitor) logIn(username string) { v.t.Helper(); v.enter("/login", "#login", username) }

// enter submits the sign-up or the login form.
func (v *visitor) enter(path, form, username string) {
	v.t.Helper()
	v.open(path)
	v.fill(form, "username", username, "password", goodPassword)
	v.submit(form)
	v.arrive("/dashboard")
}

// menu clicks an entry of the menu, after expanding it on small screens.
func (v *visitor) menu(css string) {
	v.t.Helper()
	if v.screen.mobile {
		v.click("#menu-button")
	}
	v.click("#menu " + css)
}

// loaded is true if the page has pictures and all are loaded.
const loaded = `(() => { const all = Array.from(document.querySelectorAll("main .picture img:not([hidden])"));
	return all.length > 0 && all.every((i) => i.complete && i.naturalWidth > 0); })()`

func TestSignUpAndLogIn(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, _ shop, v *visitor) {
		v.open("/")
		v.awaitText("h1", "Wear it")
		v.awaitText("main a[href='/signup']", "Sign up")
		v.look("home")
		v.open("/dashboard") // requires a login
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
			t.Errorf("the focus is on %s, want the invalid field", got)
		}
		v.look("signup")
		v.expecting("status of 409", func() {
			v.fill("#signup", "username", "ADMIN", "password", goodPassword)
			v.submit("#signup")
			v.awaitText("#username-error", "taken")
		})
		v.signUp(yoga)
		if got := evaluate[string](v, "document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)"); strings.Contains(got, "eyJ") {
			t.Errorf("scripts can read the session cookie: %s", got)
		}
		v.menu("#log-out")
		v.await("location.pathname !== '/dashboard'")
		v.logIn(yoga)
	})
}

func TestUsersManageTheirAccount(t *testing.T) {
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
		v.click("#end-sessions")
		v.arrive("/login")
		v.fill("#login", "username", yogi+" ", "password", "password456")
		v.submit("#login")
		v.arrive("/dashboard")
		v.open("/account")
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

func TestAdminPages(t *testing.T) {
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
		if v.screen.mobile {
			v.click("#menu-button")
			v.awaitText(".admin-menu", "All orders")
			v.look("admin-menu")
		}
		v.open("/admin/orders")
		v.awaitText("#orders", "199.00")
		v.awaitText("#orders", "by "+yoga)
		v.look("admin-orders")
		v.open("/admin/logs")
		v.await("document.querySelector('#stream-state').textContent !== ''")
		v.awaitText("#log-lines", "User '"+yoga+"' access place order endpoint") // was there before the page
		// From the page itself, so that it is logged after the stream has started.
		v.await(`(fetch("/api/v1"), Array.from(document.querySelectorAll("#log-lines li")).some((l) => l.textContent.includes("Accessed the welcome endpoint")))`)
		v.look("admin-logs")

		const lines = "document.querySelectorAll('#log-lines li').length"
		v.click("#pause")
		before := evaluate[int](v, lines)
		v.await(`(fetch("/api/v1"), /: [1-9][0-9]/.test(document.querySelector("#held-back").textContent))`)
		if n := evaluate[int](v, lines); n != before {
			t.Errorf("the paused log grows from %d lines to %d", before, n)
		}
		v.click("#pause")
		v.await(fmt.Sprintf("%s > %d && document.querySelector('#held-back').textContent === ''", lines, before))
	})
}

func TestPagesInChinese(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, _ shop, v *visitor) {
		v.open("/")
		v.menu("#language")
		v.await("document.documentElement.lang.startsWith('zh')")
		v.open("/login")
		v.await("/[\\u4e00-\\u9fff]/.test(document.querySelector('h1').textContent)")
		v.look("login-chinese")
	})
}

func TestPagesStayEnglishIfTextsCannotBeLoaded(t *testing.T) {
	t.Parallel()
	v := visit(t, start(t).URL, desktop)
	v.interceptResponses("*/text/*.json", func(ctx context.Context, id fetch.RequestID) error {
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

func TestKeyboardNavigation(t *testing.T) {
	t.Parallel()
	s := start(t)
	v := visit(t, s.URL, desktop)
	v.open("/login")
	v.run(chromedp.KeyEvent(kb.Tab))
	if got := evaluate[string](v, "document.activeElement.className"); got != "skip" {
		t.Errorf("the first focus is on %q, want the skip link", got)
	}
	v.run(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	if got := evaluate[string](v, "document.activeElement.name"); got != "username" {
		t.Errorf("after the skip link the focus is on %q", got)
	}
	v.run(chromedp.KeyEvent("admin"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(goodPassword), chromedp.KeyEvent(kb.Enter))
	v.arrive("/dashboard")
	v.awaitText("#products", "SUSTech Hoodie")
	v.run(chromedp.Focus(chromedp.CSS("#products [data-part=delete]")), chromedp.KeyEvent(kb.Enter))
	v.awaitText("#confirm", "No, go back")
	v.run(chromedp.KeyEvent(kb.Escape))
	v.await("!document.querySelector('#confirm').open && document.activeElement.matches('[data-part=delete]')")
}
