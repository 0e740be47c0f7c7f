package cache

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
)

// TestWhoIsWaitedFor has three others of whom one does not acknowledge in time, and then looks who has to for the next change.
func TestWhoIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after        time.Duration // since it was not acknowledged in time
		others       int
		acknowledged []string
		want         bool
	}{
		"all but the one": {0, 3, []string{"b", "c"}, true},
		"one that hangs does not speak for another":  {0, 3, []string{"a", "b"}, false},
		"one that is there again is waited for":      {time.Second, 3, []string{"late", "b", "c"}, false},
		"nobody speaks twice":                        {0, 3, []string{"b", "b"}, false},
		"all":                                        {0, 3, []string{"a", "b", "c"}, true},
		"one has ended: it may be another":           {0, 2, []string{"b"}, false},
		"there is a new one":                         {0, 4, []string{"b", "c"}, false},
		"it is waited for once more after some time": {absentFor + 1, 3, []string{"b", "c"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNews("me")
				acknowledge := func(id string, number uint64) {
					n.hear(rueidis.PubSubMessage{Channel: acknowledgments + "me", Message: fmt.Sprintf("%s 99 %d", id, number)})
				}
				first, done := n.expect()
				acknowledge("b", first)
				acknowledge("c", first)
				if n.await(t.Context(), first, 3, done, nil) {
					t.Fatal("it has not waited for all")
				}
				<-time.After(c.after)
				second, done := n.expect()
				for _, id := range c.acknowledged {
					if id == "late" { // acknowledges the first only
						acknowledge("a", first)
						continue
					}
					acknowledge(id, second)
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				n.await(ended, second, c.others, done, nil)
				select {
				case <-done:
					if !c.want {
						t.Error("it does not wait any more")
					}
				default:
					if c.want {
						t.Error("it still waits")
					}
				}
			})
		})
	}
}
