package browser

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"merchstore.io/merchstore/test/database"
)

// ordersOf returns the number of a user's orders.
func (s shop) ordersOf(t *testing.T, username string) int {
	t.Helper()
	return database.Ask[int](t, database.Connect(t, s.databaseURL), "SELECT count(*) FROM orders JOIN users u ON u.id = user_id WHERE username = $1", username)
}

func TestCheckoutOrdersOnce(t *testing.T) {
	onEveryScreen(t, func(t *testing.T, s shop, v *visitor) {
		yoga := "yoga-" + v.screen.name
		v.signUp(yoga)
		v.open("/basket")
		v.awaitText("#empty", "nothing in your basket")
		v.open("/products/2")
		v.awaitText("h1", "Mug")
		v.fill("#buy", "quantity", "2")
		v.submit("#buy")
		v.awaitText("#notice", "is in the basket")
		v.putIntoBasket("/products/3")
		v.click(".basket-link")
		v.arrive("/basket")
		v.awaitText("#total", "124.00")
		v.await(loaded)
		v.look("basket")

		v.interceptResponses("*/api/v1/orders", lose, garble)
		v.expecting("ERR_", v.checkOutWithoutResponse) // the order is placed, but the response is lost
		v.open("/basket")
		v.awaitText("#unanswered", "whether your last try went through")
		v.awaitText("#total", "124.00")
		v.look("unanswered")
		v.expecting("not valid JSON", v.checkOutWithoutResponse) // a response that is not the store's does not end the checkout
		if n := s.ordersOf(t, yoga); n != 1 {
			t.Errorf("%d orders were placed", n)
		}
		v.submit("#checkout")
		v.arrive("/orders")
		v.awaitText("#notice", "nothing was bought twice")
		if n := s.ordersOf(t, yoga); n != 1 {
			t.Errorf("%d orders were placed", n)
		}
		v.awaitText("#orders", "124.00")
		v.look("orders")
		v.click("#orders [data-part=cancel]")
		v.click("#confirm-yes")
		v.awaitText("#orders .badge", "cancelled")

		v.putIntoBasket("/products/1") // another buyer orders all of them
		v.open("/basket")
		v.awaitText("#total", "199.00")
		conn := database.Connect(t, s.databaseURL)
		database.Exec(t, conn, "UPDATE products SET stock = 0, version = version + 1 WHERE id = 1")
		defer database.Exec(t, conn, "UPDATE products SET stock = 100, version = version + 1 WHERE id = 1")
		v.expecting("status of 409", func() {
			v.submit("#checkout")
			v.awaitText("#checkout", "sold out")
		})
		if n := s.ordersOf(t, yoga); n != 1 {
			t.Errorf("%d orders were placed", n)
		}
	})
}

const locked = "Array.from(document.querySelectorAll('#lines input, #lines button')).every((control) => control.disabled)"

func TestBasketIsLockedUntilItsOrderIsAnswered(t *testing.T) {
	t.Parallel()
	s := start(t)
	v := visit(t, s.URL, desktop)
	v.signUp("yoga")
	v.putIntoBasket("/products/3")
	v.open("/basket")
	v.interceptResponses("*/api/v1/orders", lose)
	v.expecting("ERR_", v.checkOutWithoutResponse)
	v.await(locked)
	v.open("/products/1")
	v.submit("#buy")
	v.awaitText("#notice", "stays as it is")
	v.awaitText("#basket-count", "1")

	// The store knows an order's key for a day. After that, the user has to decide.
	evaluate[bool](v, `Object.entries(localStorage).every(([name, value]) => {
		const basket = JSON.parse(value);
		basket.made -= 23 * 60 * 60 * 1000;
		localStorage.setItem(name, JSON.stringify(basket));
		return true;
	})`)
	v.open("/basket")
	v.awaitText("#unanswered", "too long ago")
	v.await("document.querySelector('#order').disabled && " + locked)
	v.look("outdated")
	v.click("#start-anew")
	v.await("!document.querySelector('#unanswered').checkVisibility() && !document.querySelector('#order').disabled && !" + locked)
	v.submit("#checkout")
	v.arrive("/orders")
	if n := s.ordersOf(t, "yoga"); n != 2 {
		t.Errorf("%d orders were placed", n)
	}
}

func TestBasketBelongsToItsUser(t *testing.T) {
	t.Parallel()
	v := visit(t, start(t).URL, desktop)
	v.signUp("yoga")
	v.putIntoBasket("/products/3")
	v.menu("#log-out")
	v.arrive("/")
	v.signUp("yogi") // in the same browser
	v.open("/basket")
	v.awaitText("#empty", "nothing in your basket")
	v.menu("#log-out")
	v.arrive("/")
	v.logIn("yoga")
	v.awaitText("#basket-count", "1")
}

func (v *visitor) putIntoBasket(product string) {
	v.t.Helper()
	v.open(product)
	v.submit("#buy")
	v.awaitText("#notice", "is in the basket")
}

// checkOutWithoutResponse submits the order, whose response is lost, and waits for the error
// message.
func (v *visitor) checkOutWithoutResponse() {
	v.t.Helper()
	v.submit("#checkout")
	v.awaitText("#checkout .form-error", "")
	v.await("document.querySelector('#checkout').getAttribute('aria-busy') === 'false'")
}

// lose resets the connection instead of delivering the response.
func lose(ctx context.Context, id fetch.RequestID) error {
	_, err := chromedp.Call(ctx, fetch.FailRequest, fetch.FailRequestParams{RequestID: id, ErrorReason: network.ErrorReasonConnectionReset})
	return err
}

// garble replaces the response by a page, as a captive portal does.
func garble(ctx context.Context, id fetch.RequestID) error {
	_, err := chromedp.Call(ctx, fetch.FulfillRequest, fetch.FulfillRequestParams{
		RequestID: id, ResponseCode: http.StatusOK, Body: []byte("<h1>Welcome to the network</h1>"),
	})
	return err
}

// interceptResponses intercepts the first responses to requests that match the pattern, one with
// each of the functions.
func (v *visitor) interceptResponses(pattern string, functions ...func(context.Context, fetch.RequestID) error) {
	v.t.Helper()
	var answers atomic.Int64
	v.do(func(ctx context.Context) error {
		if err := chromedp.Listen(ctx, func(ev any) {
			paused, ok := ev.(*fetch.EventRequestPaused)
			if !ok {
				return
			}
			go func() {
				if n := answers.Add(1); n <= int64(len(functions)) {
					_ = functions[n-1](ctx, paused.RequestID)
					return
				}
				_, _ = chromedp.Call(ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: paused.RequestID})
			}()
		}); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, fetch.Enable, fetch.EnableParams{
			Patterns: []*fetch.RequestPattern{{URLPattern: pattern, RequestStage: fetch.RequestStageResponse}},
		})
		return err
	})
}
