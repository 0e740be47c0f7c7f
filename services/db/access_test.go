package main

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// TestEveryMethodButTwoNeedsAToken lists the methods by reflection, so that new ones are included.
func TestEveryMethodButTwoNeedsAToken(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.signUp("admin")
	sign := func(keys string, id int32, sid string, ttl time.Duration) string {
		k, err := token.ParseKeys(keys)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := k.Sign(token.Account{ID: id, SID: sid, Username: "admin", Role: token.RoleAdmin}, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + signed
	}
	guest, err := s.keys.SignGuest(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]string{
		"no token":                nil,
		"an empty one":            {""},
		"not a bearer":            {"Basic YTpi"},
		"not a token":             {"Bearer x.y.z"},
		"alg none":                {"Bearer eyJhbGciOiJub25lIiwia2lkIjoidGVzdCJ9.eyJzdWIiOiIxIn0."},
		"signed with another key": {sign("test:ffffffffffffffffffffffffffffffff", admin.Id, admin.Sid, time.Hour)},
		"expired":                 {sign(jwtKey, admin.Id, admin.Sid, -time.Second)},
		"of an unknown account":   {sign(jwtKey, 999, admin.Sid, time.Hour)},
		"of another sid":          {sign(jwtKey, admin.Id, "someone", time.Hour)},
		"two of them":             {sign(jwtKey, admin.Id, admin.Sid, time.Hour), sign(jwtKey, admin.Id, admin.Sid, time.Hour)},
		"a guest's":               {"Bearer " + guest},
	}
	methods := merchstorev1.File_merchstore_v1_db_proto.Services().ByName("DBService").Methods()
	for i := range methods.Len() {
		method := methods.Get(i)
		for name, header := range bad {
			guestMethod := method.Name() == "ListItems" || method.Name() == "GetPicture"
			if method.Name() == "CreateUser" || method.Name() == "Login" || guestMethod && name == "a guest's" {
				continue
			}
			ctx := t.Context()
			for _, h := range header {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", h)
			}
			path := fmt.Sprintf("/%s/%s", methods.Get(i).Parent().FullName(), method.Name())
			err := s.conn.Invoke(ctx, path, minimal(method.Input().Name()), dynamicpb.NewMessage(method.Output()))
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s with %s: %v", method.Name(), name, err)
			}
		}
	}
	r, err := s.ListItems(as(t.Context(), guest), new(merchstorev1.ListItemsRequest))
	if err != nil || len(r.GetItems()) != 0 {
		t.Errorf("a guest reads items: %v, %v", r, err)
	}
}

// minimal returns a request that passes validation.
func minimal[name ~string](of name) proto.Message {
	switch of {
	case "UpdateUserRequest":
		return &merchstorev1.UpdateUserRequest{Sid: "x"}
	case "DeactivateUserRequest":
		return &merchstorev1.DeactivateUserRequest{Sid: "x"}
	case "EndAllSessionsRequest":
		return &merchstorev1.EndAllSessionsRequest{Sid: "x"}
	case "CreateProductRequest":
		return &merchstorev1.CreateProductRequest{Name: "x"}
	case "CreateItemRequest":
		return &merchstorev1.CreateItemRequest{Name: "x"}
	case "PlaceOrderRequest":
		return order("", &merchstorev1.OrderLine{ProductId: 1, Quantity: 1})
	default:
		return new(merchstorev1.GetUserRequest) // empty, so the same bytes as any other empty request
	}
}

func TestAdminMethodsRejectCustomers(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, peter := s.signUp("admin"), s.signUp("peter")
	_, err := s.ListUsers(peter.ctx, new(merchstorev1.ListUsersRequest))
	wantReason(t, err, "forbidden")
	_, err = s.GetUser(peter.ctx, &merchstorev1.GetUserRequest{Sid: admin.Sid})
	wantReason(t, err, "forbidden")
	forged := s.as(peter.User, token.RoleAdmin) // the role of the token is ignored
	_, err = s.ListUsers(forged, new(merchstorev1.ListUsersRequest))
	wantReason(t, err, "forbidden")
	r, err := s.GetUser(admin.ctx, &merchstorev1.GetUserRequest{Sid: peter.Sid})
	if err != nil || r.GetUser().GetUsername() != "peter" {
		t.Errorf("an admin reads %v, %v", r, err)
	}
}
