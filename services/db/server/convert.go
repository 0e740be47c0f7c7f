package server

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/shop"
)

func each[From, To any](from []From, convert func(From) To) []To {
	to := make([]To, len(from))
	for i, f := range from {
		to[i] = convert(f)
	}
	return to
}

func userProto(u shop.User) *merchstorev1.User {
	role := merchstorev1.Role_ROLE_CUSTOMER
	if u.Admin {
		role = merchstorev1.Role_ROLE_ADMIN
	}
	return &merchstorev1.User{
		Id: u.ID, Sid: u.SID, Username: u.Username, Email: u.Email, Role: role, Active: u.Active,
		CreatedAt: timestamppb.New(u.CreatedAt),
	}
}

func productProto(p shop.Product) *merchstorev1.Product {
	return &merchstorev1.Product{
		Id: p.ID, Name: p.Name, Description: p.Description, Category: p.Category, Slogan: p.Slogan,
		Price: int64(p.Price), Stock: p.Stock, OwnerSid: p.OwnerSID, Version: p.Version,
		CreatedAt: timestamppb.New(p.CreatedAt), UpdatedAt: timestamppb.New(p.UpdatedAt),
	}
}

func itemProto(i shop.Item) *merchstorev1.Item {
	return &merchstorev1.Item{Id: i.ID, Name: i.Name, Description: i.Description}
}

func orderLine(l *merchstorev1.OrderLine) shop.Line {
	return shop.Line{ProductID: l.GetProductId(), Quantity: l.GetQuantity()}
}

func orderProto(o shop.Order) *merchstorev1.Order {
	status := merchstorev1.OrderStatus_ORDER_STATUS_PLACED
	if o.Cancelled {
		status = merchstorev1.OrderStatus_ORDER_STATUS_CANCELLED
	}
	return &merchstorev1.Order{
		Id: o.ID, UserSid: o.UserSID, Status: status, TotalPrice: int64(o.Total),
		CreatedAt: timestamppb.New(o.CreatedAt), Items: each(o.Items, orderItemProto),
	}
}

func orderItemProto(i shop.OrderItem) *merchstorev1.OrderItem {
	return &merchstorev1.OrderItem{
		ProductId: i.ProductID, Name: i.Name, Quantity: i.Quantity, UnitPrice: int64(i.UnitPrice),
	}
}
