package rest

import (
	"cmp"
	"math"

	"golang.org/x/sync/semaphore"

	"merchstore.io/merchstore/internal/budget"
	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/api/request"
)

const (
	// listMemory is for the entries of lists while they are read and encoded. Later they count as the
	// memory of responses.
	listMemory = 96 << 20
	// listShare is what one account may use or wait for: two of the longest pages of orders.
	listShare = 40 << 20

	// The most that an entry takes, in bytes: received, decoded, and encoded.
	orderMemory   = 96 << 10 // fifty lines
	productMemory = 24 << 10
	userMemory    = 2 << 10

	defaultPageSize = 50 // of the DB service
)

var errListShare = failure.New(failure.Exhausted, failure.ReasonTooMany,
	"too many lists are being read for your account at once; finish some first")

// lists bounds the memory of lists that are being read. Callers wait for it, as reading does not
// depend on the speed of clients.
type lists struct {
	memory   *semaphore.Weighted
	accounts *budget.Budget
}

func newLists() lists {
	return lists{semaphore.NewWeighted(listMemory), budget.New(math.MaxInt64, listShare)}
}

// beginList waits for the memory of a page, which the call has until its response is encoded.
func (h *Handler) beginList(c *call, page request.Page, entry int64) error {
	n, account := entry*int64(cmp.Or(page.Limit, defaultPageSize)), c.caller.SID
	if h.lists.accounts.Acquire(n, account) != nil {
		return errListShare
	}
	if err := h.lists.memory.Acquire(c.Request.Context(), n); err != nil {
		h.lists.accounts.Release(n, account)
		return failure.New(failure.Unavailable, failure.ReasonUnavailable,
			"too many lists are being read at once; try again in a moment").WithCause(err)
	}
	c.encoded = func() {
		h.lists.memory.Release(n)
		h.lists.accounts.Release(n, account)
	}
	return nil
}
