package rest

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"merchstore.io/merchstore/internal/failure"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/api/problem"
)

func TestBodies(t *testing.T) {
	t.Parallel()
	at := timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.FixedZone("CST", 8*3600)))
	capLine := &merchstorev1.OrderItem{ProductId: 1, Name: "Cap", Quantity: 2, UnitPrice: 9999}
	mugLine := &merchstorev1.OrderItem{ProductId: 3, Name: "Mug", Quantity: 1, UnitPrice: 4950}
	tests := map[string]struct {
		body any
		want string
	}{
		"user": {
			userBody(&merchstorev1.User{Id: 7, Sid: "12113053", Username: "peter", Email: "p@example.com", Role: merchstorev1.Role_ROLE_ADMIN, Active: true, CreatedAt: at}),
			`{"id":7,"sid":"12113053","username":"peter","email":"p@example.com","role":"admin","active":true,"created_at":"2026-01-01T19:04:05.678901Z"}`,
		},
		"product": {
			productBody(&merchstorev1.Product{Id: 1, Name: "Cap", Description: "<b>", Category: "clothing", Price: 9999, Slogan: "x", Stock: 3, OwnerSid: "s", CreatedAt: at, UpdatedAt: at}),
			`{"id":1,"name":"Cap","description":"<b>","category":"clothing","price":99.99,"slogan":"x","stock":3,"owner_sid":"s","created_at":"2026-01-01T19:04:05.678901Z","updated_at":"2026-01-01T19:04:05.678901Z"}`,
		},
		"product without an owner, stock and price": {
			productBody(&merchstorev1.Product{Id: 1, CreatedAt: at, UpdatedAt: at}),
			`{"id":1,"name":"","description":"","category":"","price":0,"slogan":"","stock":0,"created_at":"2026-01-01T19:04:05.678901Z","updated_at":"2026-01-01T19:04:05.678901Z"}`,
		},
		"order of one line has it at the top": {
			orderBody(&merchstorev1.Order{Id: 5_000_000_000, UserSid: "s", Status: merchstorev1.OrderStatus_ORDER_STATUS_PLACED, Items: []*merchstorev1.OrderItem{capLine}, TotalPrice: 19998, CreatedAt: at}),
			`{"id":5000000000,"user_sid":"s","status":"placed","product_id":1,"quantity":2,"items":[{"product_id":1,"name":"Cap","quantity":2,"unit_price":99.99}],"total_price":199.98,"created_at":"2026-01-01T19:04:05.678901Z"}`,
		},
		"order of two lines has none at the top": {
			orderBody(&merchstorev1.Order{Id: 1, UserSid: "s", Status: merchstorev1.OrderStatus_ORDER_STATUS_CANCELLED, Items: []*merchstorev1.OrderItem{capLine, mugLine}, TotalPrice: 24948, CreatedAt: at}),
			`{"id":1,"user_sid":"s","status":"cancelled","items":[{"product_id":1,"name":"Cap","quantity":2,"unit_price":99.99},{"product_id":3,"name":"Mug","quantity":1,"unit_price":49.5}],"total_price":249.48,"created_at":"2026-01-01T19:04:05.678901Z"}`,
		},
		"empty page has an empty list": {
			ordersPage{Orders: convertAll([]*merchstorev1.Order(nil), orderBody)},
			`{"orders":[],"next_cursor":""}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOrderLines(t *testing.T) {
	t.Parallel()
	number := func(n int32) *int32 { return &n }
	tests := map[string]struct {
		order newOrder
		want  []*merchstorev1.OrderLine
		field string
	}{
		"one line at the top": {
			newOrder{ProductID: number(1), Quantity: number(2)}, []*merchstorev1.OrderLine{{ProductId: 1, Quantity: 2}}, "",
		},
		"several lines in items": {
			newOrder{Items: &[]orderLine{{number(3), number(1)}, {number(1), number(2)}}},
			[]*merchstorev1.OrderLine{{ProductId: 3, Quantity: 1}, {ProductId: 1, Quantity: 2}},
			"",
		},
		"leaves empty items to the DB service": {newOrder{Items: &[]orderLine{}}, []*merchstorev1.OrderLine{}, ""},
		"rejects an empty order":               {newOrder{}, nil, "product_id"},
		"rejects a missing quantity":           {newOrder{ProductID: number(1)}, nil, "quantity"},
		"rejects a missing product":            {newOrder{Quantity: number(1)}, nil, "product_id"},
		"rejects a missing quantity in items":  {newOrder{Items: &[]orderLine{{number(1), number(1)}, {ProductID: number(2)}}}, nil, "items[1].quantity"},
		"rejects items beside a product":       {newOrder{ProductID: number(1), Items: &[]orderLine{}}, nil, "items"},
		"rejects items beside a quantity":      {newOrder{Quantity: number(1), Items: &[]orderLine{}}, nil, "items"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.order.lines()
			if tt.field != "" {
				if f, ok := failure.As(err); !ok || f.Fields[0].Name != tt.field {
					t.Errorf("got %v, want an error of %s", err, tt.field)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRenameFields(t *testing.T) {
	t.Parallel()
	one, several := newOrder{}, newOrder{Items: &[]orderLine{}}
	tests := map[string]struct {
		order                newOrder
		name, message        string
		wantName, wantDetail string
	}{
		"the line at the top":        {one, "lines[0].quantity", "lines[0].quantity must be more", "quantity", "quantity must be more"},
		"a line in items":            {several, "lines[1].quantity", "lines[1].quantity must be more", "items[1].quantity", "items[1].quantity must be more"},
		"items":                      {several, "lines", "lines must hold more", "items", "items must hold more"},
		"a field with the same name": {several, "cursor", "cursor is wrong", "cursor", "cursor is wrong"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := failure.New(failure.Invalid, failure.ReasonInvalid, tt.message)
			f.Fields = []failure.Field{{Name: tt.name, Message: "m"}}
			a := problem.For(renameFields(f, tt.order.fieldNames()...), "")
			if a.Errors[0].Field != tt.wantName || a.Detail != tt.wantDetail {
				t.Errorf("got %s: %s", a.Errors[0].Field, a.Detail)
			}
			if f.Fields[0].Name != tt.name {
				t.Error("the original error was changed")
			}
		})
	}
	if renameFields(nil, "a", "b") != nil {
		t.Error("nil became an error")
	}
}
