package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

func TestFirstAccountIsTheOnlyAdmin(t *testing.T) {
	t.Parallel()
	s := start(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := s.CreateUser(t.Context(), &merchstorev1.CreateUserRequest{Username: fmt.Sprint("user", i), Password: goodPassword})
			wantReason(t, err, "")
		})
	}
	wg.Wait()
	if n := s.count(`SELECT count(*) FROM users WHERE role = 'admin'`); n != 1 {
		t.Errorf("%d of 8 concurrent sign-ups are admins, want 1", n)
	}
}

func TestConfiguredAdminIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.AdminUsername, s.AdminPassword = "boss", "a very good password" })
	r, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: "boss", Password: "a very good password"})
	if err != nil || r.GetUser().GetRole() != merchstorev1.Role_ROLE_ADMIN {
		t.Errorf("the admin logs in as %v, %v", r.GetUser(), err)
	}
	if u := s.signUp("first"); u.Role != merchstorev1.Role_ROLE_CUSTOMER {
		t.Errorf("the first to sign up is %v", u.Role)
	}
	again := startOn(t, s.url, func(s *Settings) { s.AdminUsername, s.AdminPassword = "BOSS", "another password" })
	_, err = again.Login(t.Context(), &merchstorev1.LoginRequest{Username: "boss", Password: "another password"})
	wantReason(t, err, "invalid_credentials")
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	good := func(change func(*merchstorev1.CreateUserRequest)) *merchstorev1.CreateUserRequest {
		r := &merchstorev1.CreateUserRequest{Sid: "12113053", Username: "sreyny", Email: "sreyny@example.com", Password: goodPassword}
		change(r)
		return r
	}
	if _, err := s.CreateUser(t.Context(), good(func(*merchstorev1.CreateUserRequest) {})); err != nil {
		t.Fatal(err)
	}
	type request = merchstorev1.CreateUserRequest
	other := func(change func(*request)) *request {
		return good(func(r *request) { r.Sid, r.Username, r.Email = "1", "other", "other@example.com"; change(r) })
	}
	for name, tt := range map[string]struct {
		request *request
		want    failure.Reason
		message string
	}{
		"a taken sid":                      {other(func(r *request) { r.Sid = "12113053" }), "sid_taken", "SID '12113053' already exists"},
		"a taken name":                     {other(func(r *request) { r.Username = "sreyny" }), "username_taken", "Username 'sreyny' already exists"},
		"a name taken in another case":     {other(func(r *request) { r.Username = "SreyNy" }), "username_taken", "Username 'SreyNy' already exists"},
		"an address taken in another case": {other(func(r *request) { r.Email = "Sreyny@Example.com" }), "email_taken", ""},
		"no name":                          {other(func(r *request) { r.Username = "" }), "invalid_request", "username must be"},
		"a name of spaces":                 {other(func(r *request) { r.Username = "  " }), "invalid_request", "username must be"},
		"a name with a trailing space":     {other(func(r *request) { r.Username = "peter " }), "invalid_request", "username must be"},
		"a name with a line break":         {other(func(r *request) { r.Username = "a\nb" }), "invalid_request", "username must be"},
		"a name with a NUL":                {other(func(r *request) { r.Username = "a\x00b" }), "invalid_request", "username must be"},
		"a name of 51 letters":             {other(func(r *request) { r.Username = strings.Repeat("a", 51) }), "invalid_request", "username must be"},
		"a short password":                 {other(func(r *request) { r.Password = "1234567" }), "invalid_request", "password must be"},
		"a long password":                  {other(func(r *request) { r.Password = strings.Repeat("x", 129) }), "invalid_request", "password must be"},
		"an invalid address":               {other(func(r *request) { r.Email = "nobody" }), "invalid_request", "email must be"},
		"a sid with a slash":               {other(func(r *request) { r.Sid = "a/b" }), "invalid_request", "sid must be"},
	} {
		_, err := s.CreateUser(t.Context(), tt.request)
		wantReason(t, err, tt.want)
		if !strings.Contains(status.Convert(err).Message(), tt.message) {
			t.Errorf("%s: %v, want %q", name, err, tt.message)
		}
	}
	if n := s.count(`SELECT count(*) FROM users`); n != 1 {
		t.Errorf("%d accounts after the rejected requests, want 1", n)
	}
	for _, name := range []string{"王小明", "O'Hara", "a", strings.Repeat("ü", 50)} {
		if u := s.signUp(name); u.Username != name {
			t.Errorf("signed up as %q, became %q", name, u.Username)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("admin")
	peter := s.signUp("peter")
	r, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: "Peter", Password: goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := s.keys.Verify(r.GetToken())
	if err != nil || claims.SID != peter.Sid || claims.Username != "peter" || claims.Role != token.RoleCustomer || claims.UserID() != peter.Id {
		t.Errorf("the token says %+v, %v", claims, err)
	}
	if r.GetExpiresIn() != 3600 {
		t.Errorf("expires in %d", r.GetExpiresIn())
	}
	for _, wrong := range []*merchstorev1.LoginRequest{
		{Username: "peter", Password: "password124"}, {Username: "nobody", Password: goodPassword},
	} {
		_, err := s.Login(t.Context(), wrong)
		wantReason(t, err, "invalid_credentials")
	}
}

func TestRejectsADeactivatedAccount(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, peter, yoga := s.signUp("admin"), s.signUp("peter"), s.signUp("yoga")
	_, err := s.DeactivateUser(yoga.ctx, &merchstorev1.DeactivateUserRequest{Sid: peter.Sid})
	wantReason(t, err, "forbidden")
	r, err := s.DeactivateUser(peter.ctx, &merchstorev1.DeactivateUserRequest{Sid: peter.Sid})
	if err != nil || r.GetUser().GetActive() {
		t.Fatalf("deactivated: %v, %v", r.GetUser(), err)
	}
	_, err = s.GetUser(peter.ctx, &merchstorev1.GetUserRequest{})
	wantReason(t, err, "account_deactivated")
	_, err = s.Login(t.Context(), &merchstorev1.LoginRequest{Username: "peter", Password: goodPassword})
	wantReason(t, err, "account_deactivated")
	_, err = s.Login(t.Context(), &merchstorev1.LoginRequest{Username: "peter", Password: "not that"})
	wantReason(t, err, "invalid_credentials")
	_, err = s.DeactivateUser(admin.ctx, &merchstorev1.DeactivateUserRequest{Sid: yoga.Sid})
	wantReason(t, err, "")
	_, err = s.ListProducts(yoga.ctx, new(merchstorev1.ListProductsRequest))
	wantReason(t, err, "account_deactivated")
	// GetProduct reads the product while the account is looked up. The caller must learn neither
	// the product nor that it does not exist.
	p := s.product(admin, 1)
	for _, id := range []int32{p.GetId(), 999} {
		read, err := s.GetProduct(yoga.ctx, &merchstorev1.GetProductRequest{Id: id})
		wantReason(t, err, "account_deactivated")
		if read != nil {
			t.Errorf("a deactivated account reads %v", read)
		}
	}
	// PlaceOrder checks the account in the transaction of the order.
	_, err = s.PlaceOrder(yoga.ctx, order("key", line(p, 1)))
	wantReason(t, err, "account_deactivated")
	if n := s.count(`SELECT stock FROM products WHERE id = $1`, p.GetId()); n != 1 {
		t.Errorf("stock is %d after a deactivated account's order, want 1", n)
	}
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, peter, yoga := s.signUp("admin"), s.signUp("peter"), s.signUp("yoga")
	type request = merchstorev1.UpdateUserRequest
	str := proto.String
	for _, step := range []struct {
		name    string
		actor   account
		request *request
		want    failure.Reason
	}{
		{"another user's account", peter, &request{Sid: yoga.Sid, Username: str("x")}, "forbidden"},
		{"another user's name as an admin", admin, &request{Sid: peter.Sid, Username: str("piet")}, ""},
		{"the own name", peter, &request{Sid: peter.Sid, Username: str("peter")}, ""},
		{"the case of the own name", peter, &request{Sid: peter.Sid, Username: str("Peter")}, ""},
		{"a taken name", peter, &request{Sid: peter.Sid, Username: str("YOGA")}, "username_taken"},
		{"an empty name", peter, &request{Sid: peter.Sid, Username: str("")}, "invalid_request"},
		{"an unknown account", admin, &request{Sid: "99", Username: str("x")}, "user_not_found"},
		{"nothing", peter, &request{Sid: peter.Sid}, ""},
		{"the password without the old one", peter, &request{Sid: peter.Sid, Password: str("new password")}, "invalid_request"},
		{"the password with a wrong old one", peter, &request{Sid: peter.Sid, Password: str("new password"), CurrentPassword: str("wrong")}, "invalid_request"},
		{"the password", peter, &request{Sid: peter.Sid, Password: str("new password"), CurrentPassword: str(goodPassword)}, ""},
		{"another user's password as an admin", admin, &request{Sid: yoga.Sid, Password: str("new password"), CurrentPassword: str(goodPassword)}, ""},
	} {
		_, err := s.UpdateUser(step.actor.ctx, step.request)
		if reason(err) != step.want {
			t.Errorf("%s: %v, want %q", step.name, err, step.want)
		}
	}
	for _, name := range []string{"peter", "yoga"} {
		_, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: name, Password: "new password"})
		wantReason(t, err, "")
	}
}

func TestRejectsLoginsBeyondTheQueue(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.PasswordQueue, s.PasswordConcurrency = 4, 1 })
	s.signUp("peter")
	var mu sync.Mutex
	reasons := map[failure.Reason]int{}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, err := s.Login(t.Context(), &merchstorev1.LoginRequest{Username: "peter", Password: goodPassword})
			mu.Lock()
			defer mu.Unlock()
			reasons[reason(err)]++
		})
	}
	wg.Wait()
	if reasons[""] == 0 || reasons["too_many_requests"] == 0 || len(reasons) != 2 {
		t.Errorf("64 concurrent logins ended %v; want some accepted and the others rejected", reasons)
	}
}

// TestUpdateUserRequestOnTheWire checks the bytes that existing clients send.
func TestUpdateUserRequestOnTheWire(t *testing.T) {
	t.Parallel()
	const golden = "0a0831323131333035331206737265796e79"
	b, err := proto.Marshal(&merchstorev1.UpdateUserRequest{Sid: "12113053", Username: proto.String("sreyny")})
	if err != nil || fmt.Sprintf("%x", b) != golden {
		t.Errorf("encodes to %x, %v; want %s", b, err, golden)
	}
}

func TestHealthAndReflection(t *testing.T) {
	t.Parallel()
	s := start(t)
	h, err := healthpb.NewHealthClient(s.conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "merchstore.v1.DBService"})
	if err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health is %v, %v", h, err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(s.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil || !strings.Contains(answer.String(), "merchstore.v1.DBService") {
		t.Errorf("reflection answers %v, %v", answer, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}
