// Package server implements the gRPC service DBService: it authenticates callers and converts
// between protobuf and domain types.
package server

import (
	"context"

	"merchstore.io/merchstore/internal/budget"
	"merchstore.io/merchstore/internal/money"
	"merchstore.io/merchstore/internal/rpc"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/services/db/logins"
	"merchstore.io/merchstore/services/db/shop"
)

// Server implements DBService.
type Server struct {
	merchstorev1.UnimplementedDBServiceServer

	Accounts  *shop.Accounts
	Catalogue *shop.Catalogue
	Orders    *shop.Orders
	Logins    *logins.Guard
	Quotas    Quotas
	Uploads   *budget.Budget // bytes of pictures that are being uploaded, by account
}

// CreateUser implements DBService.
func (s *Server) CreateUser(ctx context.Context, r *merchstorev1.CreateUserRequest) (*merchstorev1.CreateUserResponse, error) {
	u, err := s.Accounts.SignUp(ctx, shop.SignUp{
		SID: r.GetSid(), Username: r.GetUsername(), Email: r.GetEmail(), Password: r.GetPassword(),
	})
	if err != nil {
		return nil, err
	}
	return &merchstorev1.CreateUserResponse{User: userProto(u)}, nil
}

// Login implements DBService.
func (s *Server) Login(ctx context.Context, r *merchstorev1.LoginRequest) (*merchstorev1.LoginResponse, error) {
	var signed string
	var u shop.User
	err := s.checkPassword(ctx, r.GetUsername(), shop.ErrInvalidCredentials, func(ctx context.Context) (err error) {
		signed, u, err = s.Accounts.Login(ctx, r.GetUsername(), r.GetPassword())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &merchstorev1.LoginResponse{
		Token: signed, ExpiresIn: int64(s.Accounts.TokenTTL.Seconds()), User: userProto(u),
	}, nil
}

// ListUsers implements DBService.
func (s *Server) ListUsers(ctx context.Context, r *merchstorev1.ListUsersRequest) (*merchstorev1.ListUsersResponse, error) {
	users, next, err := s.Accounts.List(ctx, actorFromContext(ctx), shop.Page{Limit: r.GetLimit(), Cursor: r.GetCursor()})
	if err != nil {
		return nil, err
	}
	return &merchstorev1.ListUsersResponse{Users: convertAll(users, userProto), NextCursor: next}, nil
}

// GetUser implements DBService.
func (s *Server) GetUser(ctx context.Context, r *merchstorev1.GetUserRequest) (*merchstorev1.GetUserResponse, error) {
	u, err := s.Accounts.Get(ctx, actorFromContext(ctx), r.GetSid())
	if err != nil {
		return nil, err
	}
	return &merchstorev1.GetUserResponse{User: userProto(u)}, nil
}

// UpdateUser implements DBService.
func (s *Server) UpdateUser(ctx context.Context, r *merchstorev1.UpdateUserRequest) (*merchstorev1.UpdateUserResponse, error) {
	var u shop.User
	actor := actorFromContext(ctx)
	update := func(ctx context.Context) (err error) {
		u, err = s.Accounts.Update(ctx, actor, r.GetSid(), shop.AccountUpdate{
			Username: r.Username, Email: r.Email, Password: r.Password, CurrentPassword: r.CurrentPassword,
		})
		return err
	}
	var err error
	if r.CurrentPassword != nil && r.Password != nil { // it is a guess, as at a login
		err = s.checkPassword(ctx, actor.Username, shop.ErrWrongPassword, update)
	} else {
		err = update(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &merchstorev1.UpdateUserResponse{User: userProto(u)}, nil
}

// DeactivateUser implements DBService.
func (s *Server) DeactivateUser(ctx context.Context, r *merchstorev1.DeactivateUserRequest) (*merchstorev1.DeactivateUserResponse, error) {
	u, err := s.Accounts.Deactivate(ctx, actorFromContext(ctx), r.GetSid())
	if err != nil {
		return nil, err
	}
	return &merchstorev1.DeactivateUserResponse{User: userProto(u)}, nil
}

// EndSession implements DBService.
func (s *Server) EndSession(ctx context.Context, _ *merchstorev1.EndSessionRequest) (*merchstorev1.EndSessionResponse, error) {
	if err := s.Accounts.EndSession(ctx, actorFromContext(ctx)); err != nil {
		return nil, err
	}
	return new(merchstorev1.EndSessionResponse), nil
}

// EndAllSessions implements DBService.
func (s *Server) EndAllSessions(ctx context.Context, r *merchstorev1.EndAllSessionsRequest) (*merchstorev1.EndAllSessionsResponse, error) {
	u, err := s.Accounts.EndAllSessions(ctx, actorFromContext(ctx), r.GetSid())
	if err != nil {
		return nil, err
	}
	return &merchstorev1.EndAllSessionsResponse{User: userProto(u)}, nil
}

// ListProducts implements DBService.
func (s *Server) ListProducts(ctx context.Context, r *merchstorev1.ListProductsRequest) (*merchstorev1.ListProductsResponse, error) {
	if r.GetQuery() != "" {
		if err := take(s.Quotas.searches, actorFromContext(ctx), 1, "searches"); err != nil {
			return nil, err
		}
	}
	products, next, err := s.Catalogue.List(ctx, shop.ProductFilter{Query: r.GetQuery(), Category: r.GetCategory()},
		shop.Page{Limit: r.GetLimit(), Cursor: r.GetCursor()})
	if err != nil {
		return nil, err
	}
	return &merchstorev1.ListProductsResponse{Products: convertAll(products, productProto), NextCursor: next}, nil
}

// ListCategories implements DBService.
func (s *Server) ListCategories(ctx context.Context, _ *merchstorev1.ListCategoriesRequest) (*merchstorev1.ListCategoriesResponse, error) {
	categories, err := s.Catalogue.Categories(ctx)
	if err != nil {
		return nil, err
	}
	return &merchstorev1.ListCategoriesResponse{Categories: categories}, nil
}

// GetProduct implements DBService.
func (s *Server) GetProduct(ctx context.Context, r *merchstorev1.GetProductRequest) (*merchstorev1.GetProductResponse, error) {
	p, err := s.Catalogue.Get(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	return &merchstorev1.GetProductResponse{Product: productProto(p)}, nil
}

// CreateProduct implements DBService.
func (s *Server) CreateProduct(ctx context.Context, r *merchstorev1.CreateProductRequest) (*merchstorev1.CreateProductResponse, error) {
	actor := actorFromContext(ctx)
	if err := take(s.Quotas.products, actor, 1, "products"); err != nil {
		return nil, err
	}
	if err := take(s.Quotas.pictureBytes, actor, len(r.GetImage()), "pictures"); err != nil {
		return nil, err
	}
	p, err := s.Catalogue.Add(ctx, actor, shop.NewProduct{
		Name: r.GetName(), Description: r.GetDescription(), Category: r.GetCategory(), Slogan: r.GetSlogan(),
		Price: money.Amount(r.GetPrice()), Stock: r.GetStock(),
	}, r.GetImage())
	if err != nil {
		return nil, err
	}
	return &merchstorev1.CreateProductResponse{Product: productProto(p)}, nil
}

// UpdateProduct implements DBService.
func (s *Server) UpdateProduct(ctx context.Context, r *merchstorev1.UpdateProductRequest) (*merchstorev1.UpdateProductResponse, error) {
	p, err := s.Catalogue.Update(ctx, actorFromContext(ctx), r.GetId(), r.IfVersion, shop.ProductChange{
		Name: r.Name, Description: r.Description, Category: r.Category, Slogan: r.Slogan,
		Price: (*money.Amount)(r.Price), Stock: r.Stock,
	})
	if err != nil {
		return nil, err
	}
	return &merchstorev1.UpdateProductResponse{Product: productProto(p)}, nil
}

// SetPicture implements DBService.
func (s *Server) SetPicture(ctx context.Context, r *merchstorev1.SetPictureRequest) (*merchstorev1.SetPictureResponse, error) {
	actor := actorFromContext(ctx)
	if err := take(s.Quotas.pictureBytes, actor, len(r.GetImage()), "pictures"); err != nil {
		return nil, err
	}
	p, err := s.Catalogue.SetPicture(ctx, actor, r.GetId(), r.IfVersion, r.GetImage())
	if err != nil {
		return nil, err
	}
	return &merchstorev1.SetPictureResponse{Product: productProto(p)}, nil
}

// RemovePicture implements DBService.
func (s *Server) RemovePicture(ctx context.Context, r *merchstorev1.RemovePictureRequest) (*merchstorev1.RemovePictureResponse, error) {
	p, err := s.Catalogue.RemovePicture(ctx, actorFromContext(ctx), r.GetId(), r.IfVersion)
	if err != nil {
		return nil, err
	}
	return &merchstorev1.RemovePictureResponse{Product: productProto(p)}, nil
}

// GetPicture implements DBService.
func (s *Server) GetPicture(ctx context.Context, r *merchstorev1.GetPictureRequest) (*merchstorev1.GetPictureResponse, error) {
	if len(r.GetHash()) != len(shop.PictureHash{}) {
		return nil, shop.ErrPictureNotFound
	}
	c, err := s.Catalogue.Picture(ctx, shop.PictureHash(r.GetHash()), pictureSizes[r.GetSize()],
		shop.ByteRange{Offset: r.GetOffset(), Limit: r.GetLimit()})
	if err != nil {
		return nil, err
	}
	return &merchstorev1.GetPictureResponse{MediaType: c.MediaType, Content: c.Content, Total: c.Total}, nil
}

// DeleteProduct implements DBService.
func (s *Server) DeleteProduct(ctx context.Context, r *merchstorev1.DeleteProductRequest) (*merchstorev1.DeleteProductResponse, error) {
	if err := s.Catalogue.Delete(ctx, actorFromContext(ctx), r.GetId(), r.IfVersion); err != nil {
		return nil, err
	}
	return new(merchstorev1.DeleteProductResponse), nil
}

// PlaceOrder implements DBService.
func (s *Server) PlaceOrder(ctx context.Context, r *merchstorev1.PlaceOrderRequest) (*merchstorev1.PlaceOrderResponse, error) {
	actor := actorFromContext(ctx)
	if err := take(s.Quotas.orders, actor, 1, "orders"); err != nil {
		return nil, err
	}
	order, replayed, err := s.Orders.Place(ctx, actor, convertAll(r.GetLines(), orderLine), r.GetIdempotencyKey(), rpc.RequestID(ctx))
	if err != nil {
		return nil, err
	}
	return &merchstorev1.PlaceOrderResponse{Order: orderProto(order), Replayed: replayed}, nil
}

// ListOrders implements DBService.
func (s *Server) ListOrders(ctx context.Context, r *merchstorev1.ListOrdersRequest) (*merchstorev1.ListOrdersResponse, error) {
	orders, next, err := s.Orders.List(ctx, actorFromContext(ctx), r.GetUserSid(), shop.Page{Limit: r.GetLimit(), Cursor: r.GetCursor()})
	if err != nil {
		return nil, err
	}
	return &merchstorev1.ListOrdersResponse{Orders: convertAll(orders, orderProto), NextCursor: next}, nil
}

// GetOrder implements DBService.
func (s *Server) GetOrder(ctx context.Context, r *merchstorev1.GetOrderRequest) (*merchstorev1.GetOrderResponse, error) {
	order, err := s.Orders.Get(ctx, actorFromContext(ctx), r.GetId())
	if err != nil {
		return nil, err
	}
	return &merchstorev1.GetOrderResponse{Order: orderProto(order)}, nil
}

// CancelOrder implements DBService.
func (s *Server) CancelOrder(ctx context.Context, r *merchstorev1.CancelOrderRequest) (*merchstorev1.CancelOrderResponse, error) {
	order, err := s.Orders.Cancel(ctx, actorFromContext(ctx), r.GetId())
	if err != nil {
		return nil, err
	}
	return &merchstorev1.CancelOrderResponse{Order: orderProto(order)}, nil
}

// GetSales implements DBService.
func (s *Server) GetSales(ctx context.Context, r *merchstorev1.GetSalesRequest) (*merchstorev1.GetSalesResponse, error) {
	actor := actorFromContext(ctx)
	if err := take(s.Quotas.searches, actor, 1, "searches"); err != nil {
		return nil, err
	}
	sales, err := s.Orders.Sales(ctx, actor, r.GetDays())
	if err != nil {
		return nil, err
	}
	return salesProto(sales), nil
}

// ListItems implements DBService.
func (s *Server) ListItems(ctx context.Context, r *merchstorev1.ListItemsRequest) (*merchstorev1.ListItemsResponse, error) {
	items, next, err := s.Catalogue.ListItems(ctx, shop.Page{Limit: r.GetLimit(), Cursor: r.GetCursor()})
	if err != nil {
		return nil, err
	}
	return &merchstorev1.ListItemsResponse{Items: convertAll(items, itemProto), NextCursor: next}, nil
}

// CreateItem implements DBService.
func (s *Server) CreateItem(ctx context.Context, r *merchstorev1.CreateItemRequest) (*merchstorev1.CreateItemResponse, error) {
	if err := take(s.Quotas.items, actorFromContext(ctx), 1, "items"); err != nil {
		return nil, err
	}
	item, err := s.Catalogue.AddItem(ctx, r.GetName(), r.GetDescription())
	if err != nil {
		return nil, err
	}
	return &merchstorev1.CreateItemResponse{Item: itemProto(item)}, nil
}

// DeleteItem implements DBService.
func (s *Server) DeleteItem(ctx context.Context, r *merchstorev1.DeleteItemRequest) (*merchstorev1.DeleteItemResponse, error) {
	if err := s.Catalogue.DeleteItem(ctx, actorFromContext(ctx), r.GetId()); err != nil {
		return nil, err
	}
	return new(merchstorev1.DeleteItemResponse), nil
}
