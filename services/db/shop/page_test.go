package shop

import (
	"slices"
	"testing"
)

func TestPagesFollowEachOtherToTheEnd(t *testing.T) {
	t.Parallel()
	all := []int64{10, 20, 30, 40, 50}
	list := func(s Span) (found []int64) {
		for _, id := range all {
			if id > s.After && len(found) < int(s.Limit) {
				found = append(found, id)
			}
		}
		return found
	}
	for _, limit := range []int32{0, 1, 2, 4, 5, 6} {
		var got []int64
		for p := (Page{Limit: limit}); ; {
			s, err := p.span()
			if err != nil {
				t.Fatal(err)
			}
			page, next := cut(list(s), s, func(id int64) int64 { return id })
			got = append(got, page...)
			if p.Cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, all) {
			t.Errorf("limit %d: pages hold %v, want %v", limit, got, all)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("MTIz")
	f.Add("LTE")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, cursor string) {
		s, err := Page{Cursor: cursor}.span()
		if err == nil && s.After < 0 {
			t.Errorf("cursor %q leads to id %d", cursor, s.After)
		}
	})
}
