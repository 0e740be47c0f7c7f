package main

import (
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/shop"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/valkey"
)

// loginFrom logs in as peter, as if through the API from an address.
func (s *service) loginFrom(address, password string) string {
	s.t.Helper()
	signed, err := s.keys.SignClient(address, time.Minute)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(s.t.Context(), token.ClientHeader, signed)
	_, err = s.Login(ctx, &merchstorev1.LoginRequest{Username: "peter", Password: password})
	return string(reason(err))
}

func TestGuessingDoesNotLockTheOwnerOut(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.Logins.Failures = 3 })
	s.signUp("peter")
	for i, step := range []struct{ address, password, want string }{
		{"192.0.2.1", goodPassword, ""},
		{"192.0.2.2", "wrong", "invalid_credentials"},
		{"192.0.2.3", "wrong", "invalid_credentials"},
		{"192.0.2.4", "wrong", "invalid_credentials"},
		{"192.0.2.5", "wrong", "too_many_requests"},
		{"192.0.2.5", goodPassword, "too_many_requests"}, // or guessing would go on
		{"192.0.2.1", goodPassword, ""},
		{"192.0.2.1", "wrong", "invalid_credentials"},
	} {
		if got := s.loginFrom(step.address, step.password); got != step.want {
			t.Errorf("login %d: %q, want %q", i+1, got, step.want)
		}
	}
}

func TestWrongCurrentPasswordsCountAsGuesses(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.Logins.Failures = 2 })
	peter := s.signUp("peter")
	for i, want := range []failure.Reason{shop.ErrWrongPassword.Reason, shop.ErrWrongPassword.Reason, failure.ReasonTooMany} {
		_, err := s.UpdateUser(peter.ctx, &merchstorev1.UpdateUserRequest{
			Sid: peter.Sid, Password: proto.String("another password"), CurrentPassword: proto.String("wrong"),
		})
		if got := reason(err); got != want {
			t.Errorf("change %d: %q, want %q", i+1, got, want)
		}
	}
}

// Services that share a Valkey count together, and each on its own while it is away.
func TestServicesCountWrongPasswordsTogether(t *testing.T) {
	t.Parallel()
	cache := valkey.Start(t)
	url := database.New(t)
	change := func(s *Settings) { s.Logins.Failures, s.Cache.URL = 2, settings.Secret(cache.URL()) }
	one, two := startOn(t, url, change), startOn(t, url, change)
	one.signUp("peter")
	for i, step := range []struct {
		through                 *service
		address, password, want string
	}{
		{one, "192.0.2.1", goodPassword, ""},
		{one, "192.0.2.2", "wrong", "invalid_credentials"},
		{two, "192.0.2.3", "wrong", "invalid_credentials"},
		{one, "192.0.2.4", goodPassword, "too_many_requests"},
		{two, "192.0.2.4", goodPassword, "too_many_requests"},
		{two, "192.0.2.1", goodPassword, ""},
	} {
		if got := step.through.loginFrom(step.address, step.password); got != step.want {
			t.Errorf("login %d: %q, want %q", i+1, got, step.want)
		}
	}
	cache.Kill()
	for i, want := range []string{"invalid_credentials", "too_many_requests"} { // it has counted one itself
		if got := one.loginFrom("192.0.2.5", "wrong"); got != want {
			t.Errorf("login %d without Valkey: %q, want %q", i+1, got, want)
		}
	}
}
