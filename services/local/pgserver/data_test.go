package pgserver

import "testing"

func TestNewestComparesVersionsAsNumbers(t *testing.T) {
	t.Parallel()
	folders := []string{"/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/8.4/bin", "/usr/lib/postgresql/17/bin"}
	if got := newest(folders); got != "/usr/lib/postgresql/17/bin" {
		t.Errorf("newest of %q is %s", folders, got)
	}
}
