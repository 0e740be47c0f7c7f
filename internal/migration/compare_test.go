package migration_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"merchstore.io/merchstore/internal/migration"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	file := func(version int64, sum string) migration.File { return migration.File{Version: version, Checksum: sum} }
	applied := func(version int64, sum string) migration.Applied {
		return migration.Applied{Version: version, Checksum: sum}
	}
	begun := func(version int64, sum string) migration.Interrupted {
		return migration.Interrupted{Version: version, Checksum: sum}
	}
	type ledger = migration.Ledger
	for name, c := range map[string]struct {
		files  []migration.File
		ledger ledger
		want   migration.Comparison
	}{
		"nothing at all": {},
		"a fresh database": {
			files: []migration.File{file(1, "a"), file(2, "b")},
			want:  migration.Comparison{Pending: []migration.File{file(1, "a"), file(2, "b")}},
		},
		"up to date": {
			files: []migration.File{file(1, "a")}, ledger: ledger{Applied: []migration.Applied{applied(1, "a")}},
			want: migration.Comparison{Current: 1},
		},
		"edited": {
			files: []migration.File{file(1, "z"), file(2, "b")}, ledger: ledger{Applied: []migration.Applied{applied(1, "a")}},
			want: migration.Comparison{Current: 1, Tampered: []migration.File{file(1, "z")}, Pending: []migration.File{file(2, "b")}},
		},
		"vanished": {
			files: []migration.File{file(2, "b")}, ledger: ledger{Applied: []migration.Applied{applied(1, "a"), applied(2, "b")}},
			want: migration.Comparison{Current: 2, Missing: []migration.Applied{applied(1, "a")}},
		},
		"newer than all files": {
			files: []migration.File{file(1, "a")}, ledger: ledger{Applied: []migration.Applied{applied(1, "a"), applied(2, "b")}},
			want: migration.Comparison{Current: 2, Missing: []migration.Applied{applied(2, "b")}},
		},
		"an older one is new": {
			files:  []migration.File{file(1, "a"), file(2, "b"), file(3, "c"), file(4, "d")},
			ledger: ledger{Applied: []migration.Applied{applied(1, "a"), applied(3, "c")}},
			want:   migration.Comparison{Current: 3, OutOfOrder: []migration.File{file(2, "b")}, Pending: []migration.File{file(4, "d")}},
		},
		"applied by goose's own command": {
			files: []migration.File{file(1, "a")}, ledger: ledger{Applied: []migration.Applied{applied(1, "")}},
			want: migration.Comparison{Current: 1, WithoutChecksum: []migration.File{file(1, "a")}},
		},
		"interrupted": {
			files:  []migration.File{file(1, "a"), file(2, "b")},
			ledger: ledger{Interrupted: []migration.Interrupted{begun(1, "a"), begun(2, "z"), begun(3, "c")}},
			want: migration.Comparison{
				Pending:   []migration.File{file(1, "a"), file(2, "b")},
				Resumable: []migration.Interrupted{begun(1, "a")}, Dirty: []migration.Interrupted{begun(2, "z"), begun(3, "c")},
			},
		},
	} {
		if diff := cmp.Diff(c.want, migration.Compare(c.files, c.ledger)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
