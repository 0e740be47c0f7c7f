package rest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

func TestAProductIsKeptAsItWasLastWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := newKeptProducts()
		expect := func(when string, version int64, name string) {
			t.Helper()
			if got := kept.get(7); got.version != version || !strings.Contains(string(got.json), name) {
				t.Errorf("%s: version %d, %q", when, got.version, got.json)
			}
		}
		write := func(version int64, name string) {
			t.Helper()
			if _, err := kept.write(&merchstorev1.Product{Id: 7, Name: name, Version: version}); err != nil {
				t.Fatal(err)
			}
		}
		expect("before it was written", 0, "")
		write(3, `"Cap"`)
		write(4, `"Mug"`)
		expect("after it was written twice", 4, `"name":"\"Mug\""`)
		time.Sleep(keptFor)
		expect("for as long as products are kept", 4, "Mug")
		time.Sleep(time.Nanosecond)
		expect("after that", 0, "")
		write(4, "Restored")
		expect("when it is written anew", 4, "Restored")
		if got := kept.get(8); got.version != 0 {
			t.Errorf("another product has version %d", got.version)
		}
	})
}
