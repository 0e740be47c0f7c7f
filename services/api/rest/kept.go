package rest

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	lru "github.com/hashicorp/golang-lru/v2"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

const (
	maxKept = 1024
	// keptFor bounds how long a product is shown wrongly that has come back with an old version and other content, as from a backup.
	keptFor = 10 * time.Second
)

// keptProducts are products as they were last written for a client. Each reader's call goes to the DB service all the same: that says
// whether the caller may read, and whether the version kept here is still the right one, and sends the product only if it is not.
type keptProducts struct {
	byID *lru.Cache[int32, *writtenProduct]
}

// writtenProduct is one version of a product in JSON. It is shared, and not to be changed.
type writtenProduct struct {
	version int64
	body    []byte
	until   time.Time
}

func newKeptProducts() *keptProducts {
	byID, err := lru.New[int32, *writtenProduct](maxKept)
	if err != nil {
		panic(err) // for a size below one only
	}
	return &keptProducts{byID}
}

// get gives what is kept of a product, or nil.
func (k *keptProducts) get(id int32) *writtenProduct {
	w, ok := k.byID.Get(id)
	if !ok || time.Now().After(w.until) {
		return nil
	}
	return w
}

// write writes a product, and keeps it.
func (k *keptProducts) write(p *merchstorev1.Product) (*writtenProduct, error) {
	b, err := json.Marshal(productBody(p))
	if err != nil {
		return nil, fmt.Errorf("write product: %w", err)
	}
	w := &writtenProduct{p.GetVersion(), b, time.Now().Add(keptFor)}
	k.byID.Add(p.GetId(), w)
	return w, nil
}
