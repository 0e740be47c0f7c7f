package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/test/kafka"
)

// TestLegacyAPI checks the exact responses of the legacy API.
func TestLegacyAPI(t *testing.T) {
	t.Parallel()
	s := start(t, withoutProducts)
	exactly := func(c call, want string) reply {
		t.Helper()
		r := s.do(c)
		if got := string(r.body); got != want {
			t.Errorf("%s %s answers\n%s\nwant\n%s", c.method, c.path, got, want)
		}
		return r
	}
	credentials := `{"username":"user1","password":"password123"}`
	exactly(call{method: "POST", path: "/api/signup", body: credentials, status: 201}, `{"message":"User created successfully"}`)
	r := s.do(call{method: "POST", path: "/api/login", body: credentials, status: 200})
	token := decode[struct{ Token string }](t, r).Token
	if want := `{"token":"` + token + `"}`; string(r.body) != want || !strings.HasPrefix(token, "eyJ") {
		t.Errorf("login answers %s", r.body)
	}
	exactly(call{
		method: "POST", path: "/api/products", token: token, status: 201,
		body: `{"name":"Product1","description":"A sample product","price":99.99}`,
	}, `{"message":"Product added successfully","product":{"id":1,"name":"Product1","description":"A sample product","price":99.99}}`)
	s.do(call{method: "POST", path: "/api/products", token: token, status: 201, body: `{"name":"Product2","description":"","price":100}`})
	exactly(call{method: "GET", path: "/api/products", token: token, status: 200},
		`[{"id":1,"name":"Product1","description":"A sample product","price":99.99},{"id":2,"name":"Product2","description":"","price":100}]`)
	exactly(call{method: "DELETE", path: "/api/products/1", token: token, status: 200}, `{"message":"Product deleted successfully"}`)
	exactly(call{method: "POST", path: "/api/items", token: token, status: 201, body: `{"name":"Item1"}`}, `{"message":"Item added successfully"}`)
	exactly(call{method: "GET", path: "/api/items", status: 200}, `[{"id":1,"name":"Item1","description":""}]`)
}

// TestLogLines uses every endpoint of version 1 and reads the log with a console consumer.
func TestLogLines(t *testing.T) {
	t.Parallel()
	s := start(t, withoutProducts)
	s.do(call{method: "GET", path: "/api/v1", status: 200})
	s.signUp("12113053", "peter")
	s.signUp("12113054", "anna")
	s.do(call{
		method: "POST", path: "/api/v1/users/create", status: 409,
		body: `{"sid":"12113054","username":"x","email":"x@example.com","password":"password123"}`,
	})
	token := s.login("peter")
	s.do(call{method: "PATCH", path: "/api/v1/users/1211223344", token: token, body: `{"username":"yoga"}`, status: 404})
	s.do(call{method: "PATCH", path: "/api/v1/users/12113054", token: token, body: `{"username":"yoga"}`, status: 200})
	s.do(call{method: "GET", path: "/api/v1/users", token: token, status: 200})
	s.do(call{method: "GET", path: "/api/v1/users/12113054", token: token, status: 200})
	s.do(call{method: "GET", path: "/api/v1/products", token: token, status: 200})
	s.do(call{method: "POST", path: "/api/v1/products", token: token, body: `{"name":"Mug","price":49.5,"stock":3}`, status: 201})
	s.do(call{method: "GET", path: "/api/v1/products/1", token: token, status: 200})
	s.do(call{method: "PATCH", path: "/api/v1/products/1", token: token, body: `{"price":39.5}`, status: 200})
	s.do(call{method: "POST", path: "/api/v1/orders", token: token, body: `{"product_id":1,"quantity":2}`, status: 201})
	s.do(call{method: "GET", path: "/api/v1/orders", token: token, status: 200})
	s.do(call{method: "GET", path: "/api/v1/orders/1", token: token, status: 200})
	s.do(call{method: "GET", path: "/api/v1/users/12113053/orders", token: token, status: 200})
	s.do(call{method: "POST", path: "/api/v1/orders/1/cancel", token: token, status: 200})
	s.do(call{method: "POST", path: "/api/v1/users/12113054/deactivate", token: token, status: 200})

	want := []string{
		"Accessed the welcome endpoint",
		"Create User endpoint is being called",
		"User 'peter' is created",
		"Create User endpoint is being called",
		"User 'anna' is created",
		"Create User endpoint is being called",
		"error: ALREADY_EXISTS - SID '12113054' already exists",
		"User peter successfully logged in",
		"'yoga' access update user endpoint",
		"error: NOT_FOUND - User not found",
		"'yoga' access update user endpoint",
		"update user '12113054' to username 'yoga' successfully",
		"User 'peter' fetching all users",
		"User 'peter' accessed get user by sid endpoint",
		"User 'peter' is fetching all products",
		"User 'peter' access create product endpoint",
		"User 'peter' is fetching product by product id",
		"User 'peter' access update product endpoint",
		"User 'peter' access place order endpoint",
		"User 'peter' access get all order endpoint",
		"User 'peter' access get order by id endpoint",
		"User 'peter' access get orders by user endpoint",
		"User 'peter' access cancel order endpoint",
		"User 'peter' access deactivate user endpoint",
	}
	lines, err := kafka.Shared(t).ConsoleConsume(t.Context(), s.topic, len(want))
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^[0-9]{10} - REST API: `)
	var got []string
	for _, line := range lines {
		if !form.MatchString(line) {
			t.Errorf("line %q is not of the form <unix seconds> - REST API: <text>", line)
		}
		got = append(got, form.ReplaceAllString(line, ""))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the console consumer shows (-want +got):\n%s", diff)
	}
}

// TestVersion1 goes through the requests of a buyer and of a seller.
func TestVersion1(t *testing.T) {
	t.Parallel()
	goThroughVersion1(t, start(t))
}

func goThroughVersion1(t *testing.T, s *store) {
	t.Helper()
	seller, buyer := s.signUp("1", "seller"), s.signUp("2", "buyer")
	if seller.Role != "admin" || buyer.Role != "customer" || !buyer.Active {
		t.Errorf("the first account is %+v, the second %+v", seller, buyer)
	}
	sellers, buyers := s.login("seller"), s.login("buyer")

	listed := decode[struct{ Products []product }](t, s.do(call{method: "GET", path: "/api/v1/products?limit=2", token: buyers, status: 200}))
	if len(listed.Products) != 2 || listed.Products[0].Name != "SUSTech Hoodie" {
		t.Errorf("the first page of products is %+v", listed)
	}
	added := s.do(call{method: "POST", path: "/api/v1/products", token: sellers, status: 201, body: `{"name":"Cap","price":99.99,"stock":5,"category":"clothing"}`})
	cap := decode[product](t, added)
	path := added.header.Get("Location")
	if path != fmt.Sprint("/api/v1/products/", cap.ID) || cap.Price != "99.99" {
		t.Errorf("added %s at %q", added.body, path)
	}

	// Conditional reads and updates.
	read := s.do(call{method: "GET", path: path, token: buyers, status: 200})
	tag := read.header["Etag"]
	for _, method := range []string{"GET", "HEAD"} { // repeated reads
		again := s.do(call{method: method, path: path, token: buyers, status: 200})
		if !slices.Equal(again.header["Etag"], tag) || again.header.Get("Content-Length") != fmt.Sprint(len(read.body)) ||
			method == "GET" && !bytes.Equal(again.body, read.body) {
			t.Errorf("%s again: %v %s, first %v %s", method, again.header, again.body, read.header, read.body)
		}
	}
	s.do(call{method: "GET", path: path, token: buyers, header: http.Header{"If-None-Match": tag}, status: 304})
	s.do(call{method: "PATCH", path: path, token: buyers, body: `{"price":1}`, status: 403})
	s.do(call{method: "PATCH", path: path, token: sellers, body: `{"price":89.9}`, header: http.Header{"If-Match": tag}, status: 200})
	s.do(call{method: "PATCH", path: path, token: sellers, body: `{"price":1}`, header: http.Header{"If-Match": tag}, status: 412})
	s.do(call{method: "PATCH", path: path, token: sellers, body: `{"price":1}`, header: http.Header{"If-Match": {`"0", ` + tag[0]}}, status: 412})
	current := s.do(call{method: "PATCH", path: path, token: sellers, body: `{}`, status: 200}).header.Get("Etag")
	s.do(call{method: "PATCH", path: path, token: sellers, body: `{"price":89.9}`, header: http.Header{"If-Match": {tag[0], current}}, status: 200})
	s.do(call{method: "GET", path: path, token: buyers, header: http.Header{"If-None-Match": tag}, status: 200})

	// Ordering twice with the same key.
	buy := call{
		method: "POST", path: "/api/v1/orders", token: buyers, status: 201, header: http.Header{"Idempotency-Key": {"one"}},
		body: fmt.Sprintf(`{"product_id":%d,"quantity":2}`, cap.ID),
	}
	first, again := s.do(buy), s.do(buy)
	if string(first.body) != string(again.body) || first.header.Get("Location") != again.header.Get("Location") {
		t.Errorf("the same key is answered\n%s, then\n%s", first.body, again.body)
	}
	placed := decode[map[string]any](t, first)
	if placed["product_id"] != float64(cap.ID) || placed["quantity"] != 2.0 || placed["total_price"] != 179.8 || placed["status"] != "placed" {
		t.Errorf("a one-line order reads %s", first.body)
	}
	buy.body = fmt.Sprintf(`{"product_id":%d,"quantity":3}`, cap.ID)
	buy.status = 422
	s.do(buy)
	buy.header, buy.status = http.Header{"Idempotency-Key": {"two"}}, 201
	s.do(buy)
	buy.header, buy.status = http.Header{"Idempotency-Key": {"three"}}, 409
	refused, refusedAgain := s.do(buy), s.do(buy)
	if string(refused.body) != string(refusedAgain.body) || decode[problem](t, refused).Code != "out_of_stock" {
		t.Errorf("sold out is answered\n%s, then\n%s", refused.body, refusedAgain.body)
	}
	s.do(call{
		method: "POST", path: "/api/v1/orders", token: buyers, status: 201,
		body: fmt.Sprintf(`{"items":[{"product_id":%d,"quantity":1},{"product_id":%d,"quantity":2}]}`, listed.Products[0].ID, listed.Products[1].ID),
	})

	// Cancelling twice.
	location := first.header.Get("Location")
	s.do(call{method: "GET", path: location, token: buyers, status: 200})
	s.do(call{method: "POST", path: location + "/cancel", token: buyers, status: 200})
	s.do(call{method: "POST", path: location + "/cancel", token: buyers, status: 409})
	if stock := decode[product](t, s.do(call{method: "GET", path: path, token: buyers, status: 200})).Stock; stock != 2 {
		t.Errorf("stock is %d after 5 - 2 - 3 + 2", stock)
	}
	s.do(call{method: "DELETE", path: path, token: sellers, status: 200})
	s.do(call{method: "GET", path: path, token: buyers, status: 404})
	s.do(call{method: "GET", path: location, token: buyers, status: 200})
	mine := decode[struct{ Orders []order }](t, s.do(call{method: "GET", path: "/api/v1/users/2/orders", token: buyers, status: 200}))
	if len(mine.Orders) != 3 || mine.Orders[2].Status != "cancelled" {
		t.Errorf("the buyer's orders are %+v", mine)
	}

	// Changing the password, and deactivating the account.
	s.do(call{method: "PATCH", path: "/api/v1/users/2", token: buyers, body: `{"password":"another one"}`, status: 422})
	s.do(call{method: "PATCH", path: "/api/v1/users/2", token: buyers, body: `{"password":"another one","current_password":"password123"}`, status: 200})
	s.do(call{method: "GET", path: "/api/v1/users/2", token: buyers, status: 401})
	buyers = decode[struct{ Token string }](t, s.do(call{
		method: "POST", path: "/api/v1/users/login", body: `{"username":"buyer","password":"another one"}`, status: 200,
	})).Token
	deactivated := decode[user](t, s.do(call{method: "POST", path: "/api/v1/users/2/deactivate", token: buyers, status: 200}))
	if deactivated.Active {
		t.Error("the account is still active")
	}
	s.do(call{method: "GET", path: "/api/v1/products", token: buyers, status: 401})
	s.do(call{method: "POST", path: "/api/v1/users/login", body: `{"username":"buyer","password":"another one"}`, status: 401})
}

// TestSalesCategoriesAndBuyers covers endpoints and fields that were added for sellers and admins.
func TestSalesCategoriesAndBuyers(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("1", "admin")
	s.signUp("2", "seller")
	admins, sellers := s.login("admin"), s.login("seller")
	added := decode[product](t, s.do(call{method: "POST", path: "/api/v1/products", token: sellers, status: 201, body: `{"name":"Cap","price":99.99,"stock":5,"category":"hats"}`}))
	body := fmt.Sprintf(`{"product_id":%d,"quantity":2}`, added.ID)
	placed := s.do(call{method: "POST", path: "/api/v1/orders", token: sellers, status: 201, body: body})
	s.do(call{method: "POST", path: "/api/v1/orders", token: sellers, status: 201, body: `{"product_id":1,"quantity":1}`})
	buyer := `"username":"seller"`
	for path, r := range map[string]reply{
		"a placed order":     placed,
		"a customer's list":  s.do(call{method: "GET", path: "/api/v1/orders", token: sellers, status: 200}),
		"an admin's reading": s.do(call{method: "GET", path: "/api/v1/orders/1", token: admins, status: 200}),
	} {
		if bytes.Contains(r.body, []byte(buyer)) {
			t.Errorf("%s names the buyer: %s", path, r.body)
		}
	}
	for _, path := range []string{"/api/v1/orders", "/api/v1/users/2/orders"} {
		if r := s.do(call{method: "GET", path: path, token: admins, status: 200}); bytes.Count(r.body, []byte(buyer)) != 2 {
			t.Errorf("%s of an admin does not name the buyers: %s", path, r.body)
		}
	}

	type sales struct {
		To       string
		Products []struct {
			Name string
			Days []struct {
				Day     string
				Units   int64
				Revenue json.Number
			}
		}
	}
	sold := decode[sales](t, s.do(call{method: "GET", path: "/api/v1/sales?days=1", token: sellers, status: 200}))
	if len(sold.Products) != 1 || len(sold.Products[0].Days) != 1 || sold.Products[0].Days[0].Revenue != "199.98" || sold.Products[0].Days[0].Day != sold.To {
		t.Errorf("a seller has sold %+v", sold)
	}
	if sold = decode[sales](t, s.do(call{method: "GET", path: "/api/v1/sales", token: admins, status: 200})); len(sold.Products) != 2 {
		t.Errorf("an admin's store has sold %+v", sold)
	}
	found := s.do(call{method: "GET", path: "/api/v1/categories", token: sellers, status: 200})
	if want := `{"categories":["clothing","hats","home","stationery"]}`; string(found.body) != want {
		t.Errorf("categories are %s, want %s", found.body, want)
	}
}
