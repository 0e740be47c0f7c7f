package token

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	secretA = "0123456789abcdef0123456789abcdef"
	secretB = "fedcba9876543210fedcba9876543210"
)

func keys(t *testing.T, s string) *Keys {
	t.Helper()
	k, err := ParseKeys(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t *testing.T, method jwt.SigningMethod, key any, kid string, change func(*Claims)) string {
	t.Helper()
	c := Claims{SID: "s1", Username: "peter", Role: RoleCustomer, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: issuer, Subject: "1", ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}}
	if change != nil {
		change(&c)
	}
	tok := jwt.NewWithClaims(method, c)
	tok.Header["kid"] = kid
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signedText returns a token of peter with these claims and headers besides.
func signedText(t *testing.T, claims string, header map[string]any) string {
	t.Helper()
	c := jwt.MapClaims{"iss": issuer, "sub": "1", "sid": "s1", "username": "peter", "role": RoleCustomer}
	if err := json.Unmarshal([]byte(claims), &c); err != nil {
		t.Fatal(err)
	}
	tok := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	maps.Copy(tok.Header, header)
	tok.Header["kid"] = "a"
	s, err := tok.SignedString([]byte(secretA))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestVerify(t *testing.T) {
	t.Parallel()
	hs := jwt.SigningMethodHS256
	for name, tt := range map[string]struct {
		token string
		ok    bool
	}{
		"valid":                   {signed(t, hs, []byte(secretA), "a", nil), true},
		"second key":              {signed(t, hs, []byte(secretB), "b", nil), true},
		"unknown secret":          {signed(t, hs, []byte(strings.Repeat("x", 32)), "a", nil), false},
		"kid of another key":      {signed(t, hs, []byte(secretB), "a", nil), false},
		"unknown kid":             {signed(t, hs, []byte(secretA), "c", nil), false},
		"alg none":                {signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "a", nil), false},
		"alg HS512":               {signed(t, jwt.SigningMethodHS512, []byte(secretA), "a", nil), false},
		"expired":                 {signed(t, hs, []byte(secretA), "a", func(c *Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Second)) }), false},
		"without exp":             {signed(t, hs, []byte(secretA), "a", func(c *Claims) { c.ExpiresAt = nil }), false},
		"another issuer":          {signed(t, hs, []byte(secretA), "a", func(c *Claims) { c.Issuer = "elsewhere" }), false},
		"subject is not a number": {signed(t, hs, []byte(secretA), "a", func(c *Claims) { c.Subject = "peter" }), false},
		"subject out of range":    {signed(t, hs, []byte(secretA), "a", func(c *Claims) { c.Subject = "99999999999" }), false},
		"issued a minute ahead":   {signed(t, hs, []byte(secretA), "a", func(c *Claims) { c.IssuedAt = jwt.NewNumericDate(time.Now().Add(time.Minute)) }), false},
		"issued seconds ahead":    {signed(t, hs, []byte(secretA), "a", func(c *Claims) { c.IssuedAt = jwt.NewNumericDate(time.Now().Add(5 * time.Second)) }), true},
		"exp as a number":         {signedText(t, `{"exp":4102444800}`, nil), true},
		"exp as a string":         {signedText(t, `{"exp":"4102444800"}`, nil), false},
		"iat as a string":         {signedText(t, `{"exp":4102444800,"iat":"1732925683"}`, nil), false},
		"nbf as a string":         {signedText(t, `{"exp":4102444800,"nbf":"1732925683"}`, nil), false},
		"a critical extension":    {signedText(t, `{"exp":4102444800}`, map[string]any{"crit": []string{"b64"}, "b64": true}), false},
		"malformed":               {"eyJ.eyJ.x", false},
		"empty":                   {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := keys(t, "a:"+secretA+",b:"+secretB).Verify(tt.token)
			if (err == nil) != tt.ok {
				t.Fatalf("Verify: %v", err)
			}
			if tt.ok && (c.UserID() != 1 || c.SID != "s1" || c.Username != "peter") {
				t.Errorf("claims are %+v", c)
			}
		})
	}
}

func TestTokensOfServicesAreNoUsers(t *testing.T) {
	t.Parallel()
	k := keys(t, "a:"+secretA)
	metadata, err := Service{Keys: k, Name: "REST API", Pod: "api-0"}.GetRequestMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := k.Verify(metadata[serviceHeader]); err == nil {
		t.Errorf("the token of a service is accepted as %+v", c)
	}
	name, pod, err := k.VerifyService(func(key string) []string { return []string{metadata[key]} })
	if name != "REST API" || pod != "api-0" || err != nil {
		t.Errorf("it is of %q, %q, %v", name, pod, err)
	}
}

func TestKeyRotationKeepsOldTokensValid(t *testing.T) {
	t.Parallel()
	before, after := keys(t, "a:"+secretA), keys(t, "b:"+secretB+",a:"+secretA)
	old, err := before.Sign(Account{ID: 1, SID: "s1", Username: "peter", Role: RoleAdmin}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Verify(old); err != nil {
		t.Errorf("a token signed with the previous key is rejected: %v", err)
	}
	fresh, err := after.Sign(Account{ID: 1, SID: "s1", Username: "peter", Role: RoleAdmin}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Verify(fresh); err == nil {
		t.Error("a new token is signed with the old key")
	}
}

func TestGuestHasNoID(t *testing.T) {
	t.Parallel()
	k := keys(t, "a:"+secretA)
	s, err := k.SignGuest(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c, err := k.Verify(s)
	if err != nil || c.UserID() != 0 || c.Role != RoleGuest {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestParseKeysReportsErrors(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                               "want kid:secret",
		"a":                              "want kid:secret",
		"a:short":                        "at least 32",
		"a:" + secretA + ",a:" + secretB: "is duplicated",
		"a:" + secretA + ",:" + secretB:  "JWT key 2",
	} {
		_, err := ParseKeys(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseKeys(%q): got %v, want an error with %q", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), secretA) {
			t.Errorf("the error contains the secret: %v", err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	k, err := ParseKeys("a:" + secretA)
	if err != nil {
		f.Fatal(err)
	}
	good, err := k.Sign(Account{ID: 1, SID: "s", Username: "n", Role: RoleAdmin}, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := k.Verify(s); err == nil && c.UserID() != 1 {
			t.Errorf("%q was accepted as %+v", s, c)
		}
	})
}
