package shop

import (
	"slices"
	"testing"
)

func TestPagesContainEveryEntryOnce(t *testing.T) {
	t.Parallel()
	all := []int64{10, 20, 30, 40, 50}
	list := func(k Keyset) (found []int64) {
		for _, id := range all {
			if id > k.After && len(found) < int(k.Limit) {
				found = append(found, id)
			}
		}
		return found
	}
	for _, limit := range []int32{0, 1, 2, 4, 5, 6} {
		var got []int64
		for p := (Page{Limit: limit}); ; {
			k, err := p.keyset()
			if err != nil {
				t.Fatal(err)
			}
			page, next := paginate(list(k), k, func(id int64) int64 { return id })
			got = append(got, page...)
			if p.Cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, all) {
			t.Errorf("limit %d: pages contain %v, want %v", limit, got, all)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("MTIz")
	f.Add("LTE")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, cursor string) {
		k, err := Page{Cursor: cursor}.keyset()
		if err == nil && k.After < 0 {
			t.Errorf("cursor %q decodes to id %d", cursor, k.After)
		}
	})
}
