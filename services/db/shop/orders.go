package shop

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
)

// KeyLifetime is how long an idempotency key is remembered.
const KeyLifetime = 24 * time.Hour

// Order is what a user has bought at one time.
type Order struct {
	ID        int64
	UserID    int32
	UserSID   string
	Cancelled bool
	Items     []OrderItem
	Total     money.Amount
	CreatedAt time.Time
}

// OrderItem is one product of an order, as it was when ordered.
type OrderItem struct {
	ProductID int32
	Name      string
	Quantity  int32
	UnitPrice money.Amount
}

// Line asks for pieces of a product.
type Line struct {
	ProductID int32
	Quantity  int32
}

// Failures of orders.
var (
	ErrOrderNotFound    = failure.New(failure.NotFound, "order_not_found", "Order not found")
	ErrAlreadyCancelled = failure.New(failure.Conflict, "order_already_cancelled", "the order was already cancelled")
	ErrKeyReused        = failure.New(failure.Invalid, "idempotency_key_reused",
		"this idempotency key was used for another order; use a new key for a new order")
	ErrKeyInFlight = failure.New(failure.Conflict, "idempotency_key_in_flight",
		"an order with this idempotency key is being placed right now; ask again in a moment")
)

// OrderStore keeps orders.
type OrderStore interface {
	// Order fails with ErrOrderNotFound.
	Order(ctx context.Context, id int64) (Order, error)
	// Orders returns the newest first; userID 0 means everyone's.
	Orders(ctx context.Context, userID int32, s Span) ([]Order, error)
	// CancelOrder puts the pieces back, once; it fails with ErrAlreadyCancelled.
	CancelOrder(ctx context.Context, id int64) (Order, error)
}

// OrderPlacer places one order together with those that others place at the same time.
type OrderPlacer interface {
	Do(ctx context.Context, p Placement) (Outcome, error)
}

// Orders are the rules about orders.
type Orders struct {
	Store    OrderStore
	Placer   OrderPlacer
	Accounts *Accounts
}

// Place buys all the lines or none. With a key, the same call made again within 24 hours has the same answer and buys
// nothing. The actor's account is looked at in the order's own transaction, so it need not have been before.
func (o *Orders) Place(ctx context.Context, actor Actor, lines []Line, key, requestID string) (order Order, replayed bool, err error) {
	outcome, err := o.Placer.Do(ctx, Placement{
		UserID: actor.ID, UserSID: actor.SID, Lines: lines, Key: key, Hash: hashLines(lines), RequestID: requestID,
	})
	if err != nil {
		return Order{}, false, err
	}
	if outcome.Failure != nil {
		return Order{}, false, outcome.Failure
	}
	return outcome.Order, outcome.Replayed, nil
}

// hashLines tells two requests under one key apart.
func hashLines(lines []Line) [32]byte {
	b := make([]byte, 0, 8*len(lines))
	for _, l := range lines {
		b = binary.BigEndian.AppendUint32(b, uint32(l.ProductID)) //nolint:gosec // bits, not a number
		b = binary.BigEndian.AppendUint32(b, uint32(l.Quantity))  //nolint:gosec // bits, not a number
	}
	return sha256.Sum256(b)
}

// List pages through orders, the newest first: the actor's own, everyone's for an admin, or those of one user.
func (o *Orders) List(ctx context.Context, actor Actor, userSID string, p Page) (orders []Order, next string, err error) {
	s, err := p.span()
	if err != nil {
		return nil, "", err
	}
	of := actor.ID
	switch {
	case userSID != "":
		u, err := o.Accounts.find(ctx, actor, userSID)
		if err != nil {
			return nil, "", err
		}
		of = u.ID
	case actor.Admin:
		of = 0
	}
	found, err := o.Store.Orders(ctx, of, s)
	if err != nil {
		return nil, "", err
	}
	orders, next = cut(found, s, func(o Order) int64 { return o.ID })
	return orders, next, nil
}

// Get reads an order.
func (o *Orders) Get(ctx context.Context, actor Actor, id int64) (Order, error) {
	order, err := o.Store.Order(ctx, id)
	if err != nil {
		return Order{}, err
	}
	if !actor.mayActFor(order.UserID) {
		return Order{}, errNotYours
	}
	return order, nil
}

// Cancel puts an order's pieces back on the shelf.
func (o *Orders) Cancel(ctx context.Context, actor Actor, id int64) (Order, error) {
	if _, err := o.Get(ctx, actor, id); err != nil {
		return Order{}, err
	}
	return o.Store.CancelOrder(ctx, id)
}
