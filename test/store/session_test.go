package store

import (
	"net/http"
	"strings"
	"testing"
)

// session logs in as the store's pages do, and returns the header that a browser would send
// afterwards.
func (s *store) session(username string) http.Header {
	s.t.Helper()
	r := s.do(call{method: "POST", path: "/api/v1/session", body: `{"username":"` + username + `","password":"` + goodPassword + `"}`, status: 200})
	cookie, flags, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	for _, flag := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="} {
		if !strings.Contains(flags, flag) {
			s.t.Errorf("the cookie lacks %s: %s", flag, flags)
		}
	}
	if strings.Contains(flags, "Secure") {
		s.t.Error("without TLS, a browser would not keep a secure cookie")
	}
	return http.Header{"Cookie": {cookie}}
}

func TestPagesLogInWithACookie(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("1", "peter")
	const nobody = `{"user":null}`
	get := func(h http.Header) string {
		return string(s.do(call{method: "GET", path: "/api/v1/session", header: h, status: 200}).body)
	}
	if got := get(nil); got != nobody {
		t.Errorf("without a session, the user is %s", got)
	}
	peter := s.session("peter")
	if got := get(peter); !strings.Contains(got, `"username":"peter"`) {
		t.Errorf("after the login, the user is %s", got)
	}
	s.do(call{method: "GET", path: "/api/v1/products", header: peter, status: 200})

	from := func(site string) http.Header {
		h := peter.Clone()
		h.Set("Sec-Fetch-Site", site)
		return h
	}
	const body = `{"name":"Cap","price":1}`
	s.do(call{method: "POST", path: "/api/v1/products", header: from("same-origin"), body: body, status: 201})
	for name, h := range map[string]http.Header{
		"another site":                      from("cross-site"),
		"another host of this site":         from("same-site"),
		"another origin, in an old browser": {"Cookie": peter["Cookie"], "Origin": {"https://evil.example"}},
	} {
		r := s.do(call{method: "POST", path: "/api/v1/products", header: h, body: body, status: 403})
		if got := decode[problem](t, r); got.Code != "cross_site_request" {
			t.Errorf("%s: %s", name, got.Code)
		}
	}
	s.do(call{method: "POST", path: "/api/v1/session", header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, body: `{}`, status: 403})

	tls := s.do(call{
		method: "POST", path: "/api/v1/session", header: http.Header{"X-Forwarded-Proto": {"https"}},
		body: `{"username":"peter","password":"` + goodPassword + `"}`, status: 200,
	})
	if !strings.Contains(tls.header.Get("Set-Cookie"), "Secure") {
		t.Error("behind TLS the cookie is not secure")
	}
	wrong := s.do(call{method: "POST", path: "/api/v1/session", body: `{"username":"peter","password":"not this one"}`, status: 401})
	if wrong.header.Get("Set-Cookie") != "" {
		t.Error("a wrong password sets a cookie")
	}
	out := s.do(call{method: "DELETE", path: "/api/v1/session", header: peter, status: 204})
	if !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logging out keeps the cookie: %s", out.header.Get("Set-Cookie"))
	}
	// A copy of the cookie is no longer accepted.
	s.do(call{method: "GET", path: "/api/v1/products", header: peter, status: 401})
	s.do(call{method: "DELETE", path: "/api/v1/session", header: peter, status: 204})

	s.signUp("2", "yoga")
	yoga := s.session("yoga")
	s.do(call{method: "POST", path: "/api/v1/users/2/deactivate", header: yoga, status: 200})
	r := s.do(call{method: "GET", path: "/api/v1/session", header: yoga, status: 200})
	if string(r.body) != nobody || !strings.Contains(r.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("after the deactivation, the user is %s", r.body)
	}
	s.do(call{method: "GET", path: "/api/v1/products", header: yoga, status: 401})
}

func TestEndsTheSessionsOfAnAccount(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("1", "peter")
	peter, elsewhere := s.login("peter"), s.session("peter")
	s.do(call{method: "POST", path: "/api/v1/users/1/logout", token: peter, status: 200})
	s.do(call{method: "GET", path: "/api/v1/products", token: peter, status: 401})
	s.do(call{method: "GET", path: "/api/v1/products", header: elsewhere, status: 401})
	peter = s.login("peter")
	// The only admin cannot be deactivated, and no account has an empty sid.
	r := s.do(call{method: "POST", path: "/api/v1/users/1/deactivate", token: peter, status: 409})
	if got := decode[problem](t, r); got.Code != "last_admin" {
		t.Errorf("code is %s", got.Code)
	}
	for _, c := range []call{
		{method: "POST", path: "/api/v1/users//deactivate"},
		{method: "POST", path: "/api/v1/users//logout"},
		{method: "GET", path: "/api/v1/users//orders"},
		{method: "PATCH", path: "/api/v1/users/", body: `{"email":"a@example.com"}`},
	} {
		c.token, c.status = peter, 404
		s.do(c)
	}
	s.do(call{method: "GET", path: "/api/v1/products", token: peter, status: 200})
}

func TestAdminsFollowTheLog(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("1", "peter")
	s.signUp("2", "yoga")
	admin := s.login("peter")
	s.do(call{method: "GET", path: "/api/v1/logs", token: s.login("yoga"), status: 403})
	s.do(call{method: "GET", path: "/api/v1/logs", status: 401})
	s.do(call{method: "GET", path: "/api/v1/logs?level=loud", token: admin, status: 422})
	s.do(call{method: "HEAD", path: "/api/v1/logs", token: s.login("yoga"), status: 403})
	head := s.do(call{method: "HEAD", path: "/api/v1/logs", token: admin, status: 200}) // ends
	if got := head.header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("HEAD of the stream has type %q", got)
	}

	lines := s.follow(admin, "service=REST+API")
	s.do(call{method: "GET", path: "/api/v1", status: 200})
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, "data: {") && strings.Contains(line, `"text":"Accessed the welcome endpoint"`) &&
			strings.Contains(line, `"level":"info"`) && strings.Contains(line, `"service":"REST API"`) {
			return
		}
	}
	t.Errorf("the message does not arrive: %v", lines.Err())
}
