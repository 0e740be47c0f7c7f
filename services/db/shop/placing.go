package shop

import (
	"fmt"
	"time"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
)

// Placement is an order asked for.
type Placement struct {
	// UserID and UserSID name the account as the buyer's token does. Whether it may buy is decided with the order.
	UserID  int32
	UserSID string
	Lines   []Line
	// Key is the caller's idempotency key; empty if there is none.
	Key string
	// Hash is that of the lines.
	Hash      [32]byte
	RequestID string
}

// Outcome is what has become of a Placement: an order, or a failure.
type Outcome struct {
	Order    Order
	Failure  *failure.Error
	Replayed bool
}

// Key names an idempotency key: it belongs to its user.
type Key struct {
	UserID int32
	Key    string
}

// Answer is the first answer that was given to a key.
type Answer struct {
	Hash    [32]byte
	Outcome Outcome
}

// Shelf is what a store has read, and holds locked, for a group of placements.
type Shelf struct {
	// Accounts holds those of the group's buyers, by id.
	Accounts map[int32]*User
	// Products holds those on the shelf, by id.
	Products map[int32]*Product
	// Answers holds those given earlier to keys of the group.
	Answers map[Key]Answer
	// Busy holds keys of the group that another group is working on.
	Busy map[Key]bool
	// IDs are for new orders, one for each placement.
	IDs []int64
	Now time.Time
}

// Decision is what a store has to write, and to answer.
type Decision struct {
	Outcomes []Outcome
	// Fresh holds the indexes of outcomes to be written: new orders, and failures that have a key to be kept under.
	Fresh []int
	// Sold holds pieces taken, by product.
	Sold map[int32]int32
}

// Decide hands out what is on the shelf in the order of arrival. A buyer who finds too little gets nothing, and takes
// nothing from those behind.
func Decide(placements []Placement, shelf Shelf) Decision {
	d := Decision{Outcomes: make([]Outcome, len(placements)), Sold: map[int32]int32{}}
	answers := make(map[Key]Answer, len(shelf.Answers))
	for k, a := range shelf.Answers {
		answers[k] = a
	}
	for i, p := range placements {
		if refused := admit(shelf.Accounts[p.UserID], p.UserSID); refused != nil {
			d.Outcomes[i] = Outcome{Failure: refused}
			continue
		}
		key := Key{p.UserID, p.Key}
		if p.Key != "" {
			if shelf.Busy[key] {
				d.Outcomes[i] = Outcome{Failure: ErrKeyInFlight}
				continue
			}
			if first, ok := answers[key]; ok {
				d.Outcomes[i] = first.replay(p.Hash)
				continue
			}
		}
		o := shelf.fill(p, shelf.IDs[i], d.Sold)
		d.Outcomes[i] = o
		if p.Key != "" {
			answers[key] = Answer{Hash: p.Hash, Outcome: o}
		}
		if o.Failure == nil || p.Key != "" {
			d.Fresh = append(d.Fresh, i)
		}
	}
	return d
}

func (a Answer) replay(hash [32]byte) Outcome {
	if a.Hash != hash {
		return Outcome{Failure: ErrKeyReused}
	}
	o := a.Outcome
	o.Replayed = true
	return o
}

// fill makes the order, or says why it can not be had.
func (s Shelf) fill(p Placement, id int64, sold map[int32]int32) Outcome {
	order := Order{ID: id, UserID: p.UserID, UserSID: p.UserSID, CreatedAt: s.Now, Items: make([]OrderItem, len(p.Lines))}
	for i, line := range p.Lines {
		product, ok := s.Products[line.ProductID]
		if !ok {
			return refused(p, failure.New(ErrProductNotFound.Kind, ErrProductNotFound.Reason,
				fmt.Sprintf("Product %d not found", line.ProductID)))
		}
		if left := product.Stock - sold[line.ProductID]; left < line.Quantity {
			return refused(p, failure.New(failure.Conflict, "out_of_stock",
				fmt.Sprintf("only %d of '%s' left, %d asked for", left, product.Name, line.Quantity)))
		}
		order.Items[i] = OrderItem{
			ProductID: line.ProductID, Name: product.Name, Quantity: line.Quantity, UnitPrice: product.Price,
		}
		order.Total += product.Price * money.Amount(line.Quantity)
	}
	for _, line := range p.Lines {
		sold[line.ProductID] += line.Quantity
	}
	return Outcome{Order: order}
}

// refused remembers the request that was refused, so that a replay is the same answer to the letter.
func refused(p Placement, f *failure.Error) Outcome {
	f.RequestID = p.RequestID
	return Outcome{Failure: f}
}
