package rest

import (
	"slices"
	"strings"
	"time"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/internal/token"
	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// Bodies of responses.
type (
	user struct {
		ID        int32     `json:"id"`
		SID       string    `json:"sid"`
		Username  string    `json:"username"`
		Email     string    `json:"email"`
		Role      string    `json:"role"`
		Active    bool      `json:"active"`
		CreatedAt time.Time `json:"created_at"`
	}

	product struct {
		ID          int32        `json:"id"`
		Name        string       `json:"name"`
		Description string       `json:"description"`
		Category    string       `json:"category"`
		Price       money.Amount `json:"price"`
		Slogan      string       `json:"slogan"`
		Stock       int32        `json:"stock"`
		ImageURL    string       `json:"image_url,omitzero"`
		Images      *images      `json:"images,omitzero"`
		ImageStatus string       `json:"image_status,omitzero"`
		ImageError  string       `json:"image_error,omitzero"`
		OwnerSID    string       `json:"owner_sid,omitzero"`
		CreatedAt   time.Time    `json:"created_at"`
		UpdatedAt   time.Time    `json:"updated_at"`
	}

	orderItem struct {
		ProductID int32        `json:"product_id"`
		Name      string       `json:"name"`
		Quantity  int32        `json:"quantity"`
		UnitPrice money.Amount `json:"unit_price"`
	}

	// order has the product and quantity of its only item at the top as well, for legacy clients.
	order struct {
		ID         int64        `json:"id"`
		UserSID    string       `json:"user_sid"`
		Username   string       `json:"username,omitzero"`
		Status     string       `json:"status"`
		ProductID  int32        `json:"product_id,omitzero"`
		Quantity   int32        `json:"quantity,omitzero"`
		Items      []orderItem  `json:"items"`
		TotalPrice money.Amount `json:"total_price"`
		CreatedAt  time.Time    `json:"created_at"`
	}

	item struct {
		ID          int32  `json:"id"`
		Name        string `json:"name"`
		Description string `json:"description"`
	}

	legacyProduct struct {
		ID          int32        `json:"id"`
		Name        string       `json:"name"`
		Description string       `json:"description"`
		Price       money.Amount `json:"price"`
	}

	legacyProductAdded struct {
		Message string        `json:"message"`
		Product legacyProduct `json:"product"`
	}

	legacyToken struct {
		Token string `json:"token"`
	}

	tokenBody struct {
		Token     string `json:"token"`
		TokenType string `json:"token_type"`
		ExpiresIn int64  `json:"expires_in"`
	}

	usersPage struct {
		Users      []user `json:"users"`
		NextCursor string `json:"next_cursor"`
	}

	productsPage struct {
		Products   []product `json:"products"`
		NextCursor string    `json:"next_cursor"`
	}

	ordersPage struct {
		Orders     []order `json:"orders"`
		NextCursor string  `json:"next_cursor"`
	}

	categories struct {
		Categories []string `json:"categories"`
	}

	sales struct {
		From     string         `json:"from"`
		To       string         `json:"to"`
		Days     []dailySales   `json:"days"`
		Products []productSales `json:"products"`
	}

	dailySales struct {
		Day     string       `json:"day"`
		Units   int64        `json:"units"`
		Revenue money.Amount `json:"revenue"`
	}

	productSales struct {
		ProductID int32        `json:"product_id"`
		Name      string       `json:"name"`
		Days      []dailySales `json:"days"`
	}
)

func userBody(u *merchstorev1.User) user {
	role := token.RoleCustomer
	if u.GetRole() == merchstorev1.Role_ROLE_ADMIN {
		role = token.RoleAdmin
	}
	return user{
		ID: u.GetId(), SID: u.GetSid(), Username: u.GetUsername(), Email: u.GetEmail(),
		Role: role, Active: u.GetActive(), CreatedAt: u.GetCreatedAt().AsTime(),
	}
}

func productBody(p *merchstorev1.Product) product {
	body := product{
		ID: p.GetId(), Name: p.GetName(), Description: p.GetDescription(), Category: p.GetCategory(),
		Price: money.Amount(p.GetPrice()), Slogan: p.GetSlogan(), Stock: p.GetStock(), OwnerSID: p.GetOwnerSid(),
		CreatedAt: p.GetCreatedAt().AsTime(), UpdatedAt: p.GetUpdatedAt().AsTime(),
	}
	body.setImages(p.GetPicture())
	return body
}

func legacyProductBody(p *merchstorev1.Product) legacyProduct {
	return legacyProduct{ID: p.GetId(), Name: p.GetName(), Description: p.GetDescription(), Price: money.Amount(p.GetPrice())}
}

func itemBody(i *merchstorev1.Item) item {
	return item{ID: i.GetId(), Name: i.GetName(), Description: i.GetDescription()}
}

func orderBody(o *merchstorev1.Order) order {
	status := "placed"
	if o.GetStatus() == merchstorev1.OrderStatus_ORDER_STATUS_CANCELLED {
		status = "cancelled"
	}
	body := order{
		ID: o.GetId(), UserSID: o.GetUserSid(), Username: o.GetUsername(), Status: status, Items: convertAll(o.GetItems(), orderItemBody),
		TotalPrice: money.Amount(o.GetTotalPrice()), CreatedAt: o.GetCreatedAt().AsTime(),
	}
	if len(body.Items) == 1 {
		body.ProductID, body.Quantity = body.Items[0].ProductID, body.Items[0].Quantity
	}
	return body
}

func orderItemBody(i *merchstorev1.OrderItem) orderItem {
	return orderItem{
		ProductID: i.GetProductId(), Name: i.GetName(), Quantity: i.GetQuantity(), UnitPrice: money.Amount(i.GetUnitPrice()),
	}
}

func salesBody(s *merchstorev1.GetSalesResponse) sales {
	return sales{
		From: s.GetFrom(), To: s.GetTo(),
		Days: convertAll(s.GetDays(), dailySalesBody), Products: convertAll(s.GetProducts(), productSalesBody),
	}
}

func dailySalesBody(d *merchstorev1.DailySales) dailySales {
	return dailySales{Day: d.GetDay(), Units: d.GetUnits(), Revenue: money.Amount(d.GetRevenue())}
}

func productSalesBody(p *merchstorev1.ProductSales) productSales {
	return productSales{ProductID: p.GetProductId(), Name: p.GetName(), Days: convertAll(p.GetDays(), dailySalesBody)}
}

// convertAll converts a list. The result is never nil, so that JSON has an empty list and not null.
func convertAll[From, To any](from []From, convert func(From) To) []To {
	to := make([]To, len(from))
	for i, f := range from {
		to[i] = convert(f)
	}
	return to
}

// renameFields returns err with the DB service's field names replaced by those of REST. names are
// pairs of an old and a new prefix.
func renameFields(err error, names ...string) error {
	f, ok := failure.As(rpc.Failure(err))
	if !ok || len(f.Fields) == 0 {
		return err
	}
	renamed := *f
	renamed.Fields = slices.Clone(f.Fields)
	for i, field := range f.Fields {
		for n := 0; n+1 < len(names); n += 2 {
			if suffix, found := strings.CutPrefix(field.Name, names[n]); found {
				name := names[n+1] + suffix
				renamed.Message = strings.ReplaceAll(renamed.Message, field.Name, name)
				renamed.Fields[i].Name = name
				break
			}
		}
	}
	return &renamed
}
