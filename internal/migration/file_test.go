package migration_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"merchstore.io/merchstore/internal/migration"
)

func TestNewFileReadsTheVersion(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]int64{
		"0001_accounts.sql": 1, "20260102030405_a_2.sql": 20260102030405, "7_x.sql": 7, "0007__.sql": 7,
		"accounts.sql": 0, "0001.sql": 0, "0001_.sql": 0, "0001_a.SQL": 0, "0001_A.sql": 0, "0001-a.sql": 0, "0001_a-b.sql": 0, "+1_a.sql": 0,
		"-1_a.sql": 0, "0000_a.sql": 0, "_a.sql": 0, "99999999999999999999_a.sql": 0, "README.md": 0, "": 0, "0001_a.sql.sql": 0,
	} {
		f, err := migration.NewFile(name, "")
		if (err == nil) != (version > 0) || f.Version != version {
			t.Errorf("%q: version %d, %v; want version %d", name, f.Version, err, version)
		}
		if err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%q is not named in: %v", name, err)
		}
	}
}

func TestReadSortsByVersion(t *testing.T) {
	t.Parallel()
	files, err := migration.Read(fstest.MapFS{"10_b.sql": {Data: []byte("b")}, "9_a.sql": {}, "100_c.sql": {}})
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(func(yield func(string) bool) {
		for _, f := range files {
			yield(f.Name)
		}
	})
	if want := []string{"9_a.sql", "10_b.sql", "100_c.sql"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if want := "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"; files[1].Checksum != want { // printf b | sha256sum
		t.Errorf("checksum %s, want %s", files[1].Checksum, want)
	}
	for about, fsys := range map[string]fstest.MapFS{
		"the same number": {"1_a.sql": {}, "01_b.sql": {}},
		"README.md":       {"1_a.sql": {}, "README.md": {}},
	} {
		if _, err := migration.Read(fsys); err == nil || !strings.Contains(err.Error(), about) {
			t.Errorf("%s: %v", about, err)
		}
	}
}
