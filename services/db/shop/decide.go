package shop

import (
	"fmt"
	"maps"
	"time"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/internal/money"
)

// OrderRequest is a request to place an order.
type OrderRequest struct {
	// UserID and Token name the buyer's account. Decide checks the account.
	UserID int32
	Token  Token
	Lines  []Line
	// Key is the caller's idempotency key. It is empty if there is none.
	Key string
	// Hash is the hash of Lines.
	Hash      [32]byte
	RequestID string
}

// Outcome is the result of an OrderRequest: an order or a failure.
type Outcome struct {
	Order    Order
	Failure  *failure.Error
	Replayed bool
}

// IdempotencyKey is a key together with the user it belongs to.
type IdempotencyKey struct {
	UserID int32
	Key    string
}

// IdempotencyRecord is the first outcome for an idempotency key.
type IdempotencyRecord struct {
	Hash    [32]byte
	Outcome Outcome
}

// Snapshot is the data that a store has read and locked to decide on a batch of requests.
type Snapshot struct {
	// Accounts holds the buyers by id.
	Accounts map[int32]*User
	// Products holds the requested products by id, except deleted ones.
	Products map[int32]*Product
	// Records holds the earlier outcomes for keys of the batch.
	Records map[IdempotencyKey]IdempotencyRecord
	// InFlight holds the keys of the batch that another batch is working on.
	InFlight map[IdempotencyKey]bool
	// OrderIDs holds an id for a new order for each request.
	OrderIDs []int64
	Now      time.Time
}

// Decision is what a store has to write and to return for a batch of requests.
type Decision struct {
	Outcomes []Outcome
	// ToWrite holds the indexes of the outcomes to write: new orders, and failures with a key.
	ToWrite []int
	// Sold holds the number of units sold by product id.
	Sold map[int32]int32
}

// Decide allocates stock to requests in the order of their arrival. A request that cannot be
// fulfilled completely takes no stock.
func Decide(requests []OrderRequest, snapshot Snapshot) Decision {
	d := Decision{Outcomes: make([]Outcome, len(requests)), Sold: map[int32]int32{}}
	records := map[IdempotencyKey]IdempotencyRecord{}
	maps.Copy(records, snapshot.Records)
	for i, r := range requests {
		if err := checkAccount(snapshot.Accounts[r.UserID], r.Token); err != nil {
			d.Outcomes[i] = Outcome{Failure: err}
			continue
		}
		key := IdempotencyKey{r.UserID, r.Key}
		if r.Key != "" {
			if snapshot.InFlight[key] {
				d.Outcomes[i] = Outcome{Failure: ErrKeyInFlight}
				continue
			}
			if record, ok := records[key]; ok {
				d.Outcomes[i] = record.replay(r.Hash)
				continue
			}
		}
		o := snapshot.placeOrder(r, snapshot.OrderIDs[i], d.Sold)
		d.Outcomes[i] = o
		if r.Key != "" {
			records[key] = IdempotencyRecord{Hash: r.Hash, Outcome: o}
		}
		if o.Failure == nil || r.Key != "" {
			d.ToWrite = append(d.ToWrite, i)
		}
	}
	return d
}

func (r IdempotencyRecord) replay(hash [32]byte) Outcome {
	if r.Hash != hash {
		return Outcome{Failure: ErrKeyReused}
	}
	o := r.Outcome
	o.Replayed = true
	return o
}

// placeOrder returns the order for r, or the reason it cannot be placed. It adds the units of a
// placed order to sold.
func (s Snapshot) placeOrder(r OrderRequest, id int64, sold map[int32]int32) Outcome {
	order := Order{ID: id, UserID: r.UserID, UserSID: r.Token.SID, CreatedAt: s.Now, Items: make([]OrderItem, len(r.Lines))}
	for i, line := range r.Lines {
		product, ok := s.Products[line.ProductID]
		if !ok {
			return reject(r, failure.New(ErrProductNotFound.Kind, ErrProductNotFound.Reason,
				fmt.Sprintf("Product %d not found", line.ProductID)))
		}
		if left := product.Stock - sold[line.ProductID]; left < line.Quantity {
			return reject(r, failure.New(failure.Conflict, "out_of_stock",
				fmt.Sprintf("only %d of '%s' left, %d asked for", left, product.Name, line.Quantity)))
		}
		order.Items[i] = OrderItem{
			ProductID: line.ProductID, Name: product.Name, Quantity: line.Quantity, UnitPrice: product.Price,
		}
		order.Total += product.Price * money.Amount(line.Quantity)
	}
	for _, line := range r.Lines {
		sold[line.ProductID] += line.Quantity
	}
	return Outcome{Order: order}
}

// reject returns a failure that carries the id of its request, which a replay repeats.
func reject(r OrderRequest, f *failure.Error) Outcome {
	f.RequestID = r.RequestID
	return Outcome{Failure: f}
}
