package shared_test

import (
	"errors"
	"sync"
	"testing"

	"merchstore.io/merchstore/test/shared"
)

type run func() int

func (r run) Run() int { return r() }

// fatal is a testing.TB that only records whether a test was ended by Fatalf.
type fatal struct {
	testing.TB
	ended bool
}

func (f *fatal) Helper() {}

func (f *fatal) Fatalf(string, ...any) {
	f.ended = true
	panic(f)
}

// get calls Get and reports whether it ended the test.
func get(r *shared.Resource[int]) (value int, ended bool) {
	f := new(fatal)
	defer func() {
		if f.ended {
			_ = recover()
			ended = true
		}
	}()
	return r.Get(f), false
}

func TestResource(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		uses              int
		startErr, stopErr error
		starts, stops     int
		code              int
	}{
		"is not started unless it is used":      {},
		"is started once for all tests":         {uses: 5, starts: 1, stops: 1},
		"is not started again after a failure":  {uses: 2, startErr: errors.New("no"), starts: 1},
		"fails the run if it cannot be stopped": {uses: 1, stopErr: errors.New("no"), starts: 1, stops: 1, code: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := shared.New[int]("number")
			starts, stops := 0, 0
			m := run(func() int {
				var users sync.WaitGroup
				for range test.uses {
					users.Go(func() {
						if value, ended := get(r); ended != (test.startErr != nil) || !ended && value != 7 {
							t.Errorf("Get returned %d, ended the test: %t", value, ended)
						}
					})
				}
				users.Wait()
				return 0
			})
			code := r.With(m,
				func(string) (int, error) { starts++; return 7, test.startErr },
				func(int) error { stops++; return test.stopErr },
			).Run()
			if starts != test.starts || stops != test.stops || code != test.code {
				t.Errorf("%d starts, %d stops, code %d; want %d, %d, %d", starts, stops, code, test.starts, test.stops, test.code)
			}
		})
	}
}

func TestGetFailsWithoutWith(t *testing.T) {
	t.Parallel()
	if _, ended := get(shared.New[int]("number")); !ended {
		t.Error("Get returned although TestMain does not provide the resource")
	}
}
