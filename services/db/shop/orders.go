package shop

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
)

// KeyLifetime is how long an idempotency key is valid.
const KeyLifetime = 24 * time.Hour

// Order is an order with its items.
type Order struct {
	ID        int64
	UserID    int32
	UserSID   string
	Username  string // the buyer's name now; only in lists that an admin reads
	Cancelled bool
	Items     []OrderItem
	Total     money.Amount
	CreatedAt time.Time
}

// OrderItem is one product of an order, with its name and price at the time of the order.
type OrderItem struct {
	ProductID int32
	Name      string
	Quantity  int32
	UnitPrice money.Amount
}

// Line is one requested product of an order.
type Line struct {
	ProductID int32
	Quantity  int32
}

// Errors of order operations.
var (
	ErrOrderNotFound = failure.New(failure.NotFound, "order_not_found", "Order not found")
	ErrStockTooLarge = failure.New(failure.Conflict, "stock_too_large",
		"the order cannot be cancelled: a product's stock would be too large; reduce that stock first")
	ErrAlreadyCancelled = failure.New(failure.Conflict, "order_already_cancelled", "the order was already cancelled")
	ErrKeyReused        = failure.New(failure.Invalid, "idempotency_key_reused",
		"this idempotency key was used for another order; use a new key for a new order")
	ErrKeyInFlight = failure.New(failure.Conflict, "idempotency_key_in_flight",
		"an order with this idempotency key is being placed right now; ask again in a moment")
)

// OrderStore stores orders.
type OrderStore interface {
	// Order returns ErrOrderNotFound if there is no such order.
	Order(ctx context.Context, id int64) (Order, error)
	// Orders returns the newest orders first. A userID of 0 selects the orders of all users.
	Orders(ctx context.Context, userID int32, k Keyset) ([]Order, error)
	// CancelOrder restores the stock exactly once. It returns ErrAlreadyCancelled for a cancelled
	// order, and ErrStockTooLarge if the restored stock cannot be stored.
	CancelOrder(ctx context.Context, id int64) (Order, error)
	// Sold returns what was sold by product and day, and first of all products together by day.
	Sold(ctx context.Context, f SalesFilter) ([]SoldOnDay, error)
}

// OrderPlacer places one order, batched with concurrent ones.
type OrderPlacer interface {
	Do(ctx context.Context, r OrderRequest) (Outcome, error)
}

// Orders implements the business rules of orders.
type Orders struct {
	Store    OrderStore
	Placer   OrderPlacer
	Accounts *Accounts
}

// Place orders all of the lines or none. A repeated call with the same key within KeyLifetime
// returns the first outcome and orders nothing. The actor's account is checked in the transaction
// of the order, so the caller need not check it.
func (o *Orders) Place(ctx context.Context, actor Actor, lines []Line, key, requestID string) (order Order, replayed bool, err error) {
	outcome, err := o.Placer.Do(ctx, OrderRequest{
		UserID: actor.ID, Token: actor.Token, Lines: lines, Key: key, Hash: hashLines(lines), RequestID: requestID,
	})
	if err != nil {
		return Order{}, false, err
	}
	if outcome.Failure != nil {
		return Order{}, false, outcome.Failure
	}
	return outcome.Order, outcome.Replayed, nil
}

// hashLines returns a hash that distinguishes different requests with the same key.
func hashLines(lines []Line) [32]byte {
	b := make([]byte, 0, 8*len(lines))
	for _, l := range lines {
		b = binary.BigEndian.AppendUint32(b, uint32(l.ProductID)) //nolint:gosec // bits, not a number
		b = binary.BigEndian.AppendUint32(b, uint32(l.Quantity))  //nolint:gosec // bits, not a number
	}
	return sha256.Sum256(b)
}

// List returns a page of orders, newest first: those of one user if userSID is set, otherwise the
// actor's own, or everyone's for an admin.
func (o *Orders) List(ctx context.Context, actor Actor, userSID string, p Page) (orders []Order, next string, err error) {
	k, err := p.keyset()
	if err != nil {
		return nil, "", err
	}
	userID := actor.ID
	switch {
	case userSID != "":
		u, err := o.Accounts.find(ctx, actor, userSID)
		if err != nil {
			return nil, "", err
		}
		userID = u.ID
	case actor.Admin:
		userID = 0
	}
	found, err := o.Store.Orders(ctx, userID, k)
	if err != nil {
		return nil, "", err
	}
	orders, next = paginate(found, k, func(o Order) int64 { return o.ID })
	if !actor.Admin {
		for i := range orders {
			orders[i].Username = ""
		}
	}
	return orders, next, nil
}

// Get returns an order. Another user's is not found, so that nobody learns which orders exist.
func (o *Orders) Get(ctx context.Context, actor Actor, id int64) (Order, error) {
	order, err := o.Store.Order(ctx, id)
	if err != nil {
		return Order{}, err
	}
	if !actor.mayActFor(order.UserID) {
		return Order{}, ErrOrderNotFound
	}
	return order, nil
}

// Cancel cancels an order and restores its stock.
func (o *Orders) Cancel(ctx context.Context, actor Actor, id int64) (Order, error) {
	if _, err := o.Get(ctx, actor, id); err != nil {
		return Order{}, err
	}
	return o.Store.CancelOrder(ctx, id)
}
