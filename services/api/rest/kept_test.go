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
			if got := kept.get(7); got == nil || got.version != version || !strings.Contains(string(got.body), name) {
				t.Errorf("%s: %+v", when, got)
			}
		}
		expectNone := func(when string, id int32) {
			t.Helper()
			if got := kept.get(id); got != nil {
				t.Errorf("%s: %+v", when, got)
			}
		}
		write := func(version int64, name string) {
			t.Helper()
			if _, err := kept.write(&merchstorev1.Product{Id: 7, Name: name, Version: version}); err != nil {
				t.Fatal(err)
			}
		}
		expectNone("before it was written", 7)
		write(3, "Cap")
		write(4, "Mug")
		expect("after it was written twice", 4, `"name":"Mug"`)
		expectNone("another product", 8)
		<-time.After(keptFor) // in the bubble's own time
		expect("for as long as products are kept", 4, "Mug")
		<-time.After(time.Nanosecond)
		expectNone("after that", 7)
		write(4, "Restored")
		expect("when it is written anew", 4, "Restored")
	})
}
