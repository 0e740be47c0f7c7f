package server

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/shop"
)

func convertAll[From, To any](from []From, convert func(From) To) []To {
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
		CreatedAt: timestamppb.New(p.CreatedAt), UpdatedAt: timestamppb.New(p.UpdatedAt), Picture: pictureProto(p.Picture),
	}
}

func pictureProto(p *shop.Picture) *merchstorev1.Picture {
	if p == nil {
		return nil
	}
	status := merchstorev1.PictureStatus_PICTURE_STATUS_PROCESSING
	switch p.Status {
	case shop.PictureReady:
		status = merchstorev1.PictureStatus_PICTURE_STATUS_READY
	case shop.PictureFailed:
		status = merchstorev1.PictureStatus_PICTURE_STATUS_FAILED
	}
	return &merchstorev1.Picture{Hash: p.Hash[:], Status: status, Failure: p.Failure}
}

// pictureSizes has every size that passes request validation.
var pictureSizes = map[merchstorev1.PictureSize]shop.PictureSize{
	merchstorev1.PictureSize_PICTURE_SIZE_UNSPECIFIED: shop.PictureOriginal,
	merchstorev1.PictureSize_PICTURE_SIZE_THUMBNAIL:   shop.PictureThumbnail,
	merchstorev1.PictureSize_PICTURE_SIZE_CARD:        shop.PictureCard,
	merchstorev1.PictureSize_PICTURE_SIZE_FULL:        shop.PictureFull,
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
		Id: o.ID, UserSid: o.UserSID, Username: o.Username, Status: status, TotalPrice: int64(o.Total),
		CreatedAt: timestamppb.New(o.CreatedAt), Items: convertAll(o.Items, orderItemProto),
	}
}

func orderItemProto(i shop.OrderItem) *merchstorev1.OrderItem {
	return &merchstorev1.OrderItem{
		ProductId: i.ProductID, Name: i.Name, Quantity: i.Quantity, UnitPrice: int64(i.UnitPrice),
	}
}

func salesProto(s shop.Sales) *merchstorev1.GetSalesResponse {
	return &merchstorev1.GetSalesResponse{
		From: s.From.Format(time.DateOnly), To: s.To.Format(time.DateOnly),
		Days: convertAll(s.Days, dailySalesProto), Products: convertAll(s.Products, productSalesProto),
	}
}

func dailySalesProto(d shop.DailySales) *merchstorev1.DailySales {
	return &merchstorev1.DailySales{Day: d.Day.Format(time.DateOnly), Units: d.Units, Revenue: int64(d.Revenue)}
}

func productSalesProto(p shop.ProductSales) *merchstorev1.ProductSales {
	return &merchstorev1.ProductSales{ProductId: p.ProductID, Name: p.Name, Days: convertAll(p.Days, dailySalesProto)}
}
