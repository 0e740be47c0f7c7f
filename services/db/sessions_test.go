package main

import (
	"context"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/shop"
)

// logIn returns the context of a new session.
func (s *service) logIn(username string) context.Context {
	s.t.Helper()
	r, err := s.Login(s.t.Context(), &merchstorev1.LoginRequest{Username: username, Password: goodPassword})
	if err != nil {
		s.t.Fatal(err)
	}
	return as(s.t.Context(), r.GetToken())
}

func TestEndsSessions(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end func(s *service, session context.Context, peter account) error
		// wantOther is the reason for which a second session of the account is rejected.
		wantOther failure.Reason
	}{
		"a new password ends all": {func(s *service, session context.Context, peter account) error {
			_, err := s.UpdateUser(session, &merchstorev1.UpdateUserRequest{
				Sid: peter.Sid, Password: proto.String("another password"), CurrentPassword: proto.String(goodPassword),
			})
			return err
		}, "invalid_token"},
		"logging out everywhere ends all": {func(s *service, session context.Context, peter account) error {
			_, err := s.EndAllSessions(session, &merchstorev1.EndAllSessionsRequest{Sid: peter.Sid})
			return err
		}, "invalid_token"},
		"logging out ends one": {func(s *service, session context.Context, _ account) error {
			_, err := s.EndSession(session, new(merchstorev1.EndSessionRequest))
			return err
		}, ""},
		"a new name ends none of the others": {func(s *service, session context.Context, peter account) error {
			_, err := s.UpdateUser(session, &merchstorev1.UpdateUserRequest{Sid: peter.Sid, Username: proto.String("pan")})
			if err == nil {
				_, err = s.EndSession(session, new(merchstorev1.EndSessionRequest))
			}
			return err
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			admin, peter := s.signUp("admin"), s.signUp("peter")
			hoodie := s.product(admin, 9)
			ended, other := s.logIn("peter"), s.logIn("peter")
			if err := tt.end(s, ended, peter); err != nil {
				t.Fatal(err)
			}
			for session, want := range map[context.Context]failure.Reason{ended: "invalid_token", other: tt.wantOther} {
				_, err := s.ListProducts(session, new(merchstorev1.ListProductsRequest))
				wantReason(t, err, want)
				_, err = s.GetProduct(session, &merchstorev1.GetProductRequest{Id: hoodie.GetId()})
				wantReason(t, err, want)
				_, err = s.PlaceOrder(session, order("", line(hoodie, 1)))
				wantReason(t, err, want)
			}
			_, err := s.GetUser(admin.ctx, &merchstorev1.GetUserRequest{Sid: peter.Sid})
			wantReason(t, err, "")
		})
	}
}

func TestEndsAnothersSessionsOnlyForAdmins(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, peter, yoga := s.signUp("admin"), s.signUp("peter"), s.signUp("yoga")
	_, err := s.EndAllSessions(yoga.ctx, &merchstorev1.EndAllSessionsRequest{Sid: peter.Sid})
	wantReason(t, err, "forbidden")
	_, err = s.GetUser(peter.ctx, new(merchstorev1.GetUserRequest))
	wantReason(t, err, "")
	_, err = s.EndAllSessions(admin.ctx, &merchstorev1.EndAllSessionsRequest{Sid: peter.Sid})
	wantReason(t, err, "")
	_, err = s.GetUser(peter.ctx, new(merchstorev1.GetUserRequest))
	wantReason(t, err, "invalid_token")
	_, err = s.GetUser(s.logIn("peter"), new(merchstorev1.GetUserRequest))
	wantReason(t, err, "")
}

func TestActivationDoesNotReviveTokens(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, peter := s.signUp("admin"), s.signUp("peter")
	_, err := s.DeactivateUser(admin.ctx, &merchstorev1.DeactivateUserRequest{Sid: peter.Sid})
	wantReason(t, err, "")
	if _, err := s.sql().Exec(t.Context(), `UPDATE users SET active = true WHERE id = $1`, peter.Id); err != nil {
		t.Fatal(err)
	}
	_, err = s.GetUser(peter.ctx, new(merchstorev1.GetUserRequest))
	wantReason(t, err, "invalid_token")
}

// TestKeepsTheLastActiveAdmin lets all admins but one deactivate each other at the same time.
func TestKeepsTheLastActiveAdmin(t *testing.T) {
	t.Parallel()
	s := start(t)
	admins := append([]account{s.signUp("admin")}, s.accounts(7)...)
	if _, err := s.sql().Exec(t.Context(), `UPDATE users SET role = 'admin' WHERE username <> 'admin' AND username LIKE 'buyer%'`); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var reasons []failure.Reason
	var wg sync.WaitGroup
	for _, a := range admins {
		wg.Go(func() {
			_, err := s.DeactivateUser(a.ctx, &merchstorev1.DeactivateUserRequest{Sid: a.Sid})
			mu.Lock()
			defer mu.Unlock()
			reasons = append(reasons, reason(err))
		})
	}
	wg.Wait()
	slices.Sort(reasons)
	if want := append(make([]failure.Reason, len(admins)-1), "last_admin"); !slices.Equal(reasons, want) {
		t.Errorf("%d concurrent deactivations end %q, want %q", len(admins), reasons, want)
	}
	if n := s.count(`SELECT count(*) FROM users WHERE role = 'admin' AND active`); n != 1 {
		t.Errorf("%d admins are active, want 1", n)
	}
}

func TestOneOfTwoPasswordChangesWins(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	tx, err := s.sql().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM users FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	results := make(chan error)
	for _, password := range []string{"one password", "another password"} {
		go func() {
			_, err := s.UpdateUser(peter.ctx, &merchstorev1.UpdateUserRequest{
				Sid: peter.Sid, Password: proto.String(password), CurrentPassword: proto.String(goodPassword),
			})
			results <- err
		}()
	}
	waitFor(t, "both to have checked the password", func() bool {
		return s.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 2
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := []failure.Reason{reason(<-results), reason(<-results)}
	slices.Sort(got)
	if want := []failure.Reason{"", shop.ErrWrongPassword.Reason}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An admin who is renamed leaves a name that a customer may take.
func TestStartsAlthoughACustomerHasTheNameOfTheConfiguredAdmin(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("admin")
	s.signUp("boss")
	again := startOn(t, s.url, func(s *Settings) { s.AdminUsername, s.AdminPassword = "boss", "another password" })
	again.logIn("boss")
}

func TestActivatesTheConfiguredAdmin(t *testing.T) {
	t.Parallel()
	configured := func(s *Settings) { s.AdminUsername, s.AdminPassword = "boss", goodPassword }
	s := start(t, configured)
	other := s.accounts(1)[0]
	if _, err := s.sql().Exec(t.Context(), `UPDATE users SET role = 'admin' WHERE id = $1`, other.Id); err != nil {
		t.Fatal(err)
	}
	boss := s.logIn("boss")
	u, err := s.GetUser(boss, new(merchstorev1.GetUserRequest))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.DeactivateUser(other.ctx, &merchstorev1.DeactivateUserRequest{Sid: u.GetUser().GetSid()})
	wantReason(t, err, "")
	again := startOn(t, s.url, configured)
	_, err = again.GetUser(again.logIn("boss"), new(merchstorev1.GetUserRequest))
	wantReason(t, err, "")
	_, err = again.GetUser(boss, new(merchstorev1.GetUserRequest))
	wantReason(t, err, "invalid_token")
}
