package crowd

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// shelf is what the merchant sells at the moment, by the store's ids. It is what shoppers buy: never anybody else's products.
type shelf struct {
	mu     sync.Mutex
	plenty []int32
	scarce int32  // 0: not there
	seller string // sid
}

func (s *shelf) put(w ware, seller string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seller = seller
	if w.scarce {
		s.scarce = w.id
	} else {
		s.plenty = append(s.plenty, w.id)
	}
}

func (s *shelf) take(w ware) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.scarce {
		s.scarce = 0
	} else {
		s.plenty = slices.DeleteFunc(s.plenty, func(id int32) bool { return id == w.id })
	}
}

// owner is whose products these are, as the store knows them.
func (s *shelf) owner() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seller
}

// any is one of which there is plenty.
func (s *shelf) any() (id int32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.plenty) == 0 {
		return 0, false
	}
	return s.plenty[rand.IntN(len(s.plenty))], true
}

// rare is the one that is mostly sold out.
func (s *shelf) rare() (id int32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.scarce, s.scarce != 0
}
