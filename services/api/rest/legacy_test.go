package rest

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestAllPages(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("unavailable")
	tests := map[string]struct {
		page  func(cursor string) ([]int, string, error)
		want  []int
		calls int
		fails bool
	}{
		"joins the pages": {
			func(cursor string) ([]int, string, error) {
				next := map[string]string{"": "a", "a": "b", "b": ""}
				return map[string][]int{"": {1, 2}, "a": {3}, "b": {}}[cursor], next[cursor], nil
			},
			[]int{1, 2, 3},
			3, false,
		},
		"rejects a list that is too long": {
			func(string) ([]int, string, error) { return []int{1}, "more", nil }, nil, maxLegacyPages, true,
		},
		"stops at an error": {
			func(string) ([]int, string, error) { return nil, "more", unavailable }, nil, 1, true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			got, err := allPages(t.Context(), func(_ context.Context, cursor string) ([]int, string, error) {
				calls++
				return tt.page(cursor)
			})
			if !slices.Equal(got, tt.want) || calls != tt.calls || (err != nil) != tt.fails {
				t.Errorf("got %v after %d calls, %v", got, calls, err)
			}
		})
	}
}
