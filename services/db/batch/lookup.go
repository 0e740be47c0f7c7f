package batch

import (
	"context"
	"time"
)

// NewLookup makes a Group that finds things by their keys: what is asked for at the same time is fetched together. fetch
// may leave keys out and give the rest in any order; who asked for one that is left out gets nil. A look-up that starts
// after a write has been committed sees it: nothing is kept from one group to the next.
func NewLookup[K comparable, V any](
	limit int, timeout time.Duration, fetch func(ctx context.Context, keys []K) ([]V, error), keyOf func(V) K,
) *Group[K, *V] {
	return New(limit, timeout, func(ctx context.Context, asked []K) ([]*V, error) {
		found, err := fetch(ctx, asked)
		if err != nil {
			return nil, err
		}
		byKey := make(map[K]*V, len(found))
		for i := range found {
			byKey[keyOf(found[i])] = &found[i]
		}
		answers := make([]*V, len(asked))
		for i, k := range asked {
			answers[i] = byKey[k]
		}
		return answers, nil
	})
}
