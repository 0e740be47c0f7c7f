package users

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// listings are the merchant's products that customers can order, by the store's ids.
type listings struct {
	mu     sync.Mutex
	common []int32
	scarce int32  // 0 if not listed
	seller string // the merchant's SID
}

func (l *listings) add(it item, seller string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seller = seller
	if it.scarce {
		l.scarce = it.id
	} else {
		l.common = append(l.common, it.id)
	}
}

func (l *listings) remove(it item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if it.scarce {
		l.scarce = 0
	} else {
		l.common = slices.DeleteFunc(l.common, func(id int32) bool { return id == it.id })
	}
}

// owner returns the SID of the products' owner.
func (l *listings) owner() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seller
}

// randomCommon returns one of the products with plenty of stock.
func (l *listings) randomCommon() (id int32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.common) == 0 {
		return 0, false
	}
	return pick(l.common), true
}

// scarceProduct returns the product that is mostly out of stock.
func (l *listings) scarceProduct() (id int32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scarce, l.scarce != 0
}

func pick[T any](from []T) T { return from[rand.IntN(len(from))] }
