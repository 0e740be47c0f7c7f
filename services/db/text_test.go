package main

import (
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

const (
	composed, decomposed = "josé", "jose\u0301"
	zwnj                 = "\u200c" // part of Persian words
)

func TestSignUpText(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("admin")
	type request = merchstorev1.CreateUserRequest
	for name, tt := range map[string]struct {
		request *request
		want    failure.Reason
		message string
	}{
		"a name with a no-break space at its end": {&request{Username: "peter\u00a0"}, "invalid_request", "username must be"},
		"a name with a wide space before it":      {&request{Username: "\u3000peter"}, "invalid_request", "username must be"},
		"a name of letters that are not seen":     {&request{Username: "\u3164\u3164"}, "invalid_request", "username must be"},
		"a name of combining marks":               {&request{Username: "\u0301\u0302"}, "invalid_request", "username must be"},
		"a name that is written backwards":        {&request{Username: "a\u202egnp"}, "invalid_request", "username must be"},
		"a name with a right-to-left mark":        {&request{Username: "a\u200fb"}, "invalid_request", "username must be"},
		"a sid of a dot":                          {&request{Username: "a", Sid: "."}, "invalid_request", "sid must be"},
		"a sid of two dots":                       {&request{Username: "a", Sid: ".."}, "invalid_request", "sid must be"},
		"a sid that is a path":                    {&request{Username: "a", Sid: "login"}, "invalid_request", "sid must be"},
		"a sid with a backslash":                  {&request{Username: "a", Sid: `a\b`}, "invalid_request", "sid must be"},
		"a sid of three dots":                     {&request{Username: "dots", Sid: "..."}, "", ""},
		"a space inside a name":                   {&request{Username: "van Gogh"}, "", ""},
		"a common password":                       {&request{Username: "a", Password: "Trustno1 "[:8]}, "invalid_request", "guessed first"},
		"a common password in capitals":           {&request{Username: "a", Password: "PASSWORD1"}, "invalid_request", "guessed first"},
		"the name as the password":                {&request{Username: "long enough", Password: "Long Enough"}, "invalid_request", "username or the sid"},
		"the sid as the password":                 {&request{Username: "a", Sid: "12113053", Password: "12113053"}, "invalid_request", "username or the sid"},
		"a password of seven characters":          {&request{Username: "a", Password: "u\u0308u\u0308u\u0308u\u0308xyz"}, "invalid_request", "password must be"},
		"one character eight times":               {&request{Username: "eight", Password: "ääääääää"}, "", ""},
	} {
		if tt.request.Password == "" {
			tt.request.Password = goodPassword
		}
		_, err := s.CreateUser(t.Context(), tt.request)
		wantReason(t, err, tt.want)
		if err != nil && !strings.Contains(err.Error(), tt.message) {
			t.Errorf("%s: %v, want %q", name, err, tt.message)
		}
	}
}

func TestNamesAndPasswordsAreNormalized(t *testing.T) {
	t.Parallel()
	s := start(t)
	created, err := s.CreateUser(t.Context(), &merchstorev1.CreateUserRequest{Username: decomposed, Password: decomposed + goodPassword})
	if err != nil || created.GetUser().GetUsername() != composed {
		t.Fatalf("signed up as %v, %v", created, err)
	}
	_, err = s.CreateUser(t.Context(), &merchstorev1.CreateUserRequest{Username: composed, Password: goodPassword})
	wantReason(t, err, "username_taken")
	for name, password := range map[string]string{
		composed: composed + goodPassword, decomposed: decomposed + goodPassword, decomposed + " ": composed + goodPassword,
		"\u00a0" + composed + "\u2009": composed + goodPassword,
	} {
		_, err = s.Login(t.Context(), &merchstorev1.LoginRequest{Username: name, Password: password})
		wantReason(t, err, "")
	}
	_, err = s.Login(t.Context(), &merchstorev1.LoginRequest{Username: composed, Password: goodPassword})
	wantReason(t, err, "invalid_credentials")
}

// TestOlderAccountsLogIn with names and passwords that were stored before they were normalized.
func TestOlderAccountsLogIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	hash, err := argon2id.CreateHash(decomposed+goodPassword, argon2id.DefaultParams)
	if err != nil {
		t.Fatal(err)
	}
	const mixed = "é e\u0301"
	for sid, username := range map[string]string{"1": decomposed, "2": mixed, "3": "no-break\u00a0", "..": "dots"} {
		_, err := s.sql().Exec(t.Context(), `INSERT INTO users (sid, username, password_hash, role) VALUES ($1, $2, $3, 'customer')`, sid, username, hash)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{decomposed, composed, mixed, "no-break\u00a0", "dots"} {
		r, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: name, Password: decomposed + goodPassword})
		wantReason(t, err, "")
		_, err = s.GetUser(as(t.Context(), r.GetToken()), &merchstorev1.GetUserRequest{Sid: r.GetUser().GetSid()})
		wantReason(t, err, "")
	}
	r, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: decomposed, Password: decomposed + goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.UpdateUser(as(t.Context(), r.GetToken()), &merchstorev1.UpdateUserRequest{
		Sid: "1", Password: proto.String("another password"), CurrentPassword: proto.String(decomposed + goodPassword),
	})
	wantReason(t, err, "")
}

func TestRemovesAnAddress(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	for _, address := range []string{"peter@example.com", "", "peter@example.com"} {
		r, err := s.UpdateUser(peter.ctx, &merchstorev1.UpdateUserRequest{Sid: peter.Sid, Email: &address})
		if err != nil || r.GetUser().GetEmail() != address {
			t.Errorf("address %q: %v, %v", address, r, err)
		}
	}
	if r, err := s.UpdateUser(peter.ctx, &merchstorev1.UpdateUserRequest{Sid: peter.Sid}); err != nil || r.GetUser().GetEmail() == "" {
		t.Errorf("a change without an address: %v, %v", r, err)
	}
}

func TestCatalogueText(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.signUp("admin")
	type product = merchstorev1.CreateProductRequest
	for name, r := range map[string]*product{
		"a name that is not seen":          {Name: "\u2800\u3164 \u00a0"},
		"a name of joiners":                {Name: zwnj},
		"a name that is written backwards": {Name: "\u202egnp"},
		"an isolate in a description":      {Name: "x", Description: "\u2066"},
		"an override in a category":        {Name: "x", Category: "\u202d"},
	} {
		_, err := s.CreateProduct(admin.ctx, r)
		if reason(err) != "invalid_request" {
			t.Errorf("%s: %v", name, err)
		}
	}
	word := "می" + zwnj + "خواهم"
	created, err := s.CreateProduct(admin.ctx, &product{Name: "Caf" + "e\u0301 " + word, Category: word})
	if err != nil || created.GetProduct().GetName() != "Café "+word {
		t.Fatalf("created %v, %v", created, err)
	}
	for name, r := range map[string]*merchstorev1.ListProductsRequest{
		"a search for composed letters":   {Query: "café"},
		"a search for decomposed letters": {Query: "cafe\u0301"},
		"a search with a joiner":          {Query: word},
		"a filter with a joiner":          {Category: word},
	} {
		got, err := s.ListProducts(admin.ctx, r)
		if err != nil || len(got.GetProducts()) != 1 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	_, err = s.ListProducts(admin.ctx, &merchstorev1.ListProductsRequest{Query: "\u202e"})
	wantReason(t, err, "invalid_request")
}
