package budget_test

import (
	"errors"
	"testing"

	"merchstore.io/merchstore/internal/budget"
)

func TestAcquire(t *testing.T) {
	t.Parallel()
	type step struct {
		n    int64 // acquired, or released if negative
		keys []string
		want error
	}
	for name, steps := range map[string][]step{
		"a caller gets its share and no more": {
			{6, []string{"a"}, nil}, {1, []string{"a"}, budget.ErrShare}, {4, []string{"b"}, nil},
		},
		"all callers together get the total and no more": {
			{6, []string{"a"}, nil}, {5, []string{"b"}, budget.ErrFull}, {4, []string{"b"}, nil}, {1, []string{"c"}, budget.ErrFull},
		},
		"what is released can be acquired again": {
			{6, []string{"a"}, nil}, {-6, []string{"a"}, nil}, {6, []string{"a"}, nil},
		},
		"each key of a caller has a share": {
			{6, []string{"address", "account"}, nil},
			{1, []string{"other address", "account"}, budget.ErrShare},
			{1, []string{"address", "other account"}, budget.ErrShare},
			{1, []string{"other address", "other account"}, nil},
		},
		"a refused caller holds nothing": {
			{6, []string{"a"}, nil}, {1, []string{"b", "a"}, budget.ErrShare}, {4, []string{"b"}, nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := budget.New(10, 6)
			for i, s := range steps {
				if s.n < 0 {
					b.Release(-s.n, s.keys...)
				} else if err := b.Acquire(s.n, s.keys...); !errors.Is(err, s.want) {
					t.Errorf("step %d: got %v, want %v", i, err, s.want)
				}
			}
		})
	}
}
