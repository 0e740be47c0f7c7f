package store

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/test/stack"
)

func withoutProducts(o *stack.Options) {
	o.Env = map[string]map[string]string{stack.DB: {"SEED_PRODUCTS": "false"}}
}

// TestBadInput: invalid requests get a clear error, never a 500, and change nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := start(t, withoutProducts)
	s.signUp("1", "peter")
	s.signUp("2", "yoga")
	admin, yoga := s.login("peter"), s.login("yoga")
	s.do(call{method: "POST", path: "/api/v1/products", token: admin, body: `{"name":"Mug","price":10,"stock":100}`, status: 201})
	placed := s.do(call{
		method: "POST", path: "/api/v1/orders", token: admin, body: `{"product_id":1,"quantity":1}`,
		header: http.Header{"Idempotency-Key": {"used"}}, status: 201,
	})
	theirs := placed.header.Get("Location")
	before := s.everything(admin)

	orders := func(body string) call { return call{method: "POST", path: "/api/v1/orders", token: yoga, body: body} }
	products := func(body string) call { return call{method: "POST", path: "/api/v1/products", token: yoga, body: body} }
	users := func(body string) call { return call{method: "POST", path: "/api/v1/users/create", body: body} }
	get := func(path string) call { return call{method: "GET", path: path, token: yoga} }
	with := func(c call, name string, values ...string) call { c.header = http.Header{name: values}; return c }
	as := func(token string) call { return call{method: "GET", path: "/api/v1/products", token: token} }

	for name, tt := range map[string]struct {
		call
		status int
		code   string // any if empty
	}{
		"broken JSON":                      {orders(`{"product_id":1,`), 400, ""},
		"not JSON":                         {orders(`hello`), 400, ""},
		"two values":                       {orders(`{"product_id":1,"quantity":1}{}`), 400, ""},
		"an unknown field":                 {orders(`{"product_id":1,"quantity":1,"price":0}`), 400, ""},
		"a field twice":                    {orders(`{"product_id":1,"quantity":1,"quantity":2}`), 400, ""},
		"no body":                          {orders(""), 400, ""},
		"invalid UTF-8":                    {users("{\"username\":\"a\xff\",\"email\":\"a@example.com\",\"password\":\"password123\"}"), 400, ""},
		"another media type":               {with(orders(`{"product_id":1,"quantity":1}`), "Content-Type", "text/plain"), 415, ""},
		"a form":                           {with(orders(`product_id=1`), "Content-Type", "application/x-www-form-urlencoded"), 415, ""},
		"a huge body":                      {products(`{"name":"` + strings.Repeat("x", 2<<20) + `","price":1}`), 413, ""},
		"a string for a number":            {orders(`{"product_id":"1","quantity":1}`), 422, ""},
		"a number for a string":            {products(`{"name":1,"price":1}`), 422, ""},
		"null for a number":                {orders(`{"product_id":1,"quantity":null}`), 422, ""},
		"a list for an object":             {orders(`[]`), 422, ""},
		"a fraction":                       {orders(`{"product_id":1,"quantity":1.5}`), 422, ""},
		"no quantity":                      {orders(`{"product_id":1}`), 422, ""},
		"a quantity of zero":               {orders(`{"product_id":1,"quantity":0}`), 422, ""},
		"a negative quantity":              {orders(`{"product_id":1,"quantity":-1}`), 422, ""},
		"a quantity that overflows":        {orders(`{"product_id":1,"quantity":99999999999999999999}`), 422, ""},
		"a quantity that just overflows":   {orders(`{"product_id":1,"quantity":2147483648}`), 422, ""},
		"a huge quantity":                  {orders(`{"product_id":1,"quantity":2147483647}`), 422, ""},
		"no lines":                         {orders(`{"items":[]}`), 422, ""},
		"one product in two lines":         {orders(`{"items":[{"product_id":1,"quantity":1},{"product_id":1,"quantity":1}]}`), 422, ""},
		"more than the stock":              {orders(`{"product_id":1,"quantity":101}`), 409, "out_of_stock"},
		"an unknown product":               {orders(`{"product_id":999,"quantity":1}`), 404, "product_not_found"},
		"a price with three decimals":      {products(`{"name":"x","price":9.999}`), 422, ""},
		"a price as a string":              {products(`{"name":"x","price":"9.99"}`), 422, ""},
		"a negative price":                 {products(`{"name":"x","price":-1}`), 422, ""},
		"a price beyond the greatest":      {products(`{"name":"x","price":100000000}`), 422, ""},
		"a price with an exponent":         {products(`{"name":"x","price":1e400}`), 422, ""},
		"no price":                         {products(`{"name":"x"}`), 422, ""},
		"an empty name":                    {products(`{"name":"","price":1}`), 422, ""},
		"a name of spaces":                 {products(`{"name":"  ","price":1}`), 422, ""},
		"an over-long name":                {products(`{"name":"` + strings.Repeat("x", 101) + `","price":1}`), 422, ""},
		"an over-long description":         {products(`{"name":"x","description":"` + strings.Repeat("x", 1001) + `","price":1}`), 422, ""},
		"a NUL":                            {products(`{"name":"a\u0000b","price":1}`), 422, ""},
		"a control character":              {products(`{"name":"a\u0007b","price":1}`), 422, ""},
		"half a surrogate pair":            {products(`{"name":"\ud800","price":1}`), 400, ""},
		"a negative stock":                 {products(`{"name":"x","price":1,"stock":-1}`), 422, ""},
		"a short password":                 {users(`{"username":"new","email":"n@example.com","password":"short"}`), 422, ""},
		"a taken name":                     {users(`{"username":"PETER","email":"n@example.com","password":"password123"}`), 409, "username_taken"},
		"an invalid address":               {users(`{"username":"new","email":"nobody","password":"password123"}`), 422, ""},
		"an id that is a word":             {get("/api/v1/products/mug"), 422, "invalid_id"},
		"an id that is a fraction":         {get("/api/v1/orders/1.5"), 422, "invalid_id"},
		"an id that is negative":           {get("/api/v1/orders/-1"), 422, "invalid_id"},
		"an id beyond the greatest":        {get("/api/v1/products/2147483648"), 422, "invalid_id"},
		"an order id beyond the greatest":  {get("/api/v1/orders/9223372036854775808"), 422, "invalid_id"},
		"a path that is not UTF-8":         {call{method: "GET", path: "/api/v1/users/%ff", token: admin}, 400, ""},
		"a path with a NUL":                {call{method: "GET", path: "/api/v1/users/%00", token: admin}, 400, ""},
		"a query that is not UTF-8":        {get("/api/v1/products?q=%ff"), 400, ""},
		"a query with a NUL":               {get("/api/v1/products?q=%00"), 400, ""},
		"a limit that is a word":           {get("/api/v1/products?limit=all"), 422, ""},
		"a limit beyond the greatest":      {get("/api/v1/products?limit=100000"), 422, ""},
		"more days of sales than are kept": {get("/api/v1/sales?days=91"), 422, ""},
		"no days of sales":                 {get("/api/v1/sales?days=0"), 422, ""},
		"too many of the latest log lines": {get("/api/v1/logs?last=1001"), 422, ""},
		"latest lines and the whole log":   {call{method: "GET", path: "/api/v1/logs?last=1&from_beginning=true", token: admin}, 422, ""},
		"an invalid cursor":                {get("/api/v1/products?cursor=zzz"), 422, ""},
		"an unknown path":                  {get("/nowhere"), 404, "not_found"},
		"an unsupported method":            {call{method: "PUT", path: "/api/v1/orders", token: yoga}, 405, ""},
		"an invalid If-Match":              {with(call{method: "PATCH", path: "/api/v1/products/1", token: admin, body: `{"price":1}`}, "If-Match", "yesterday's"), 400, ""},
		"a stale If-Match":                 {with(call{method: "PATCH", path: "/api/v1/products/1", token: admin, body: `{"price":1}`}, "If-Match", `"999"`), 412, "stale_version"},
		"an empty idempotency key":         {with(orders(`{"product_id":1,"quantity":1}`), "Idempotency-Key", ""), 422, ""},
		"an over-long idempotency key":     {with(orders(`{"product_id":1,"quantity":1}`), "Idempotency-Key", strings.Repeat("k", 256)), 422, ""},
		"a reused idempotency key":         {with(call{method: "POST", path: "/api/v1/orders", token: admin, body: `{"product_id":1,"quantity":2}`}, "Idempotency-Key", "used"), 422, "idempotency_key_reused"},
		"no token":                         {as(""), 401, "unauthenticated"},
		"an invalid token":                 {as("abc"), 401, "invalid_token"},
		"a forged token":                   {as(s.forged(t, "forged")), 401, "invalid_token"},
		"a token of another key":           {as(s.forged(t, "other key")), 401, "invalid_token"},
		"a token without a signature":      {as(s.forged(t, "none")), 401, "invalid_token"},
		"an expired token":                 {as(s.forged(t, "expired")), 401, "invalid_token"},
		"another user's order":             {get(theirs), 404, "order_not_found"},
		"cancelling another user's order":  {call{method: "POST", path: theirs + "/cancel", token: yoga}, 404, "order_not_found"},
		"another user's account":           {get("/api/v1/users/1"), 403, "forbidden"},
		"all users, by a customer":         {get("/api/v1/users"), 403, "forbidden"},
		"another user's product":           {call{method: "DELETE", path: "/api/v1/products/1", token: yoga}, 403, "forbidden"},
		"another user's, legacy API":       {call{method: "DELETE", path: "/api/products/1", token: yoga}, 403, "forbidden"},
		"an over-long item, the older way": {call{method: "POST", path: "/api/items", token: yoga, body: `{"name":"x","description":"` + strings.Repeat("x", 301) + `"}`}, 422, ""},
		"a NUL in a name to log in with":   {call{method: "POST", path: "/api/login", body: `{"username":"a\u0000","password":"password123"}`}, 422, ""},
		"a wrong password":                 {call{method: "POST", path: "/api/login", body: `{"username":"peter","password":"wrong"}`}, 401, "invalid_credentials"},
	} {
		c := tt.call
		c.status = tt.status
		if c.body == "" && name == "no body" {
			c.header = http.Header{"Content-Type": {"application/json"}}
		}
		p := s.doProblem(name, c)
		if tt.code != "" && p.Code != tt.code {
			t.Errorf("%s: code %q, want %q", name, p.Code, tt.code)
		}
	}
	if diff := cmp.Diff(before, s.everything(admin)); diff != "" {
		t.Errorf("the data has changed (-before +after):\n%s", diff)
	}
}

// doProblem sends a request that must fail with a complete problem document.
func (s *store) doProblem(name string, c call) problem {
	s.t.Helper()
	r := s.do(c)
	p := decode[problem](s.t, r)
	switch {
	case r.header.Get("Content-Type") != "application/problem+json":
		s.t.Errorf("%s: content type %q", name, r.header.Get("Content-Type"))
	case p.Status != c.status || p.Title == "" || p.Type == "" || p.Detail == "" || p.Code == "":
		s.t.Errorf("%s: incomplete: %s", name, r.body)
	case p.RequestID == "":
		s.t.Errorf("%s: no request id: %s", name, r.body)
	case c.status == http.StatusUnauthorized && r.header.Get("Www-Authenticate") == "":
		s.t.Errorf("%s: no WWW-Authenticate", name)
	}
	for _, inside := range []string{"SQL", "rpc error", "pgx", "goroutine", "127.0.0.1", "panic"} {
		if strings.Contains(string(r.body), inside) {
			s.t.Errorf("%s: the response reveals internals: %s", name, r.body)
		}
	}
	return p
}

// everything returns all data that an admin can read.
func (s *store) everything(admin string) map[string]json.RawMessage {
	s.t.Helper()
	all := map[string]json.RawMessage{}
	for _, path := range []string{"/api/v1/users", "/api/v1/products", "/api/v1/orders", "/api/items"} {
		all[path] = s.do(call{method: "GET", path: path, token: admin, status: 200}).body
	}
	return all
}

// forged returns an invalid token.
func (s *store) forged(t *testing.T, how string) string {
	t.Helper()
	sign := func(keys *token.Keys, err error, ttl time.Duration) string {
		if err != nil {
			t.Fatal(err)
		}
		signed, err := keys.Sign(token.Account{ID: 1, SID: "1", Username: "peter", Role: token.RoleAdmin}, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	keys, err := s.Keys()
	good := sign(keys, err, time.Hour)
	parts := strings.Split(good, ".")
	switch how {
	case "forged": // the signature of other claims
		claims := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"merchstore","sub":"2","sid":"2","username":"yoga","role":"admin","exp":4102444800}`))
		return parts[0] + "." + claims + "." + parts[2]
	case "none":
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT","kid":"test"}`))
		return header + "." + parts[1] + "."
	case "other key":
		other, err := token.ParseKeys("test:" + strings.Repeat("x", 32))
		return sign(other, err, time.Hour)
	default:
		return sign(keys, nil, -time.Minute)
	}
}
