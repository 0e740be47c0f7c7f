//go:build e2e

// Package e2e tests the store as it runs on Kubernetes, under steady traffic: what `make up` has started, which `make e2e` does first.
// It replaces, moves and kills the store's pods, and leaves a store that works.
package e2e

import (
	"flag"
	"testing"
	"time"
)

var address = flag.String("url", "http://127.0.0.1:8081", "where the store is reached")

// limit is what Kubernetes may take to start or end a few pods on a slow machine.
const limit = 3 * time.Minute

// TestStore goes from what must not be noticed to what may, and counts everything in the end. The parts share the traffic, and the
// cluster: one after the other.
func TestStore(t *testing.T) {
	c := cluster{t: t}
	c.settle()
	t.Run("fences", fences)

	s := openShop(t, c)
	s.open()
	for _, part := range []struct {
		name string
		do   func(cluster, *traffic)
	}{
		{"every DB pod gets its share, also those that come later", everyPodGetsItsShare},
		{"no update is noticed", updates},
		{"scaling is not noticed", scaling},
		{"no end of a pod is noticed", deletions},
		{"the end of the cache is not noticed", cacheEnds},
		{"draining a node is not noticed", drain},
		{"DB pods share the work on pictures", pictures},
	} {
		t.Run(part.name, func(t *testing.T) {
			s.mark()
			part.do(cluster{t: t}, s)
			s.nothingFailed(t)
		})
	}
	s.close()
	t.Run("every order is there once", s.ordersAreRight)
	t.Run("every log message is in Kafka", s.logIsComplete)

	s.open()
	t.Run("what is killed comes back, and nothing is lost", func(t *testing.T) { kills(t, s) })
	s.close()
	t.Run("every order is there once, still", s.ordersAreRight)
	t.Run("uninstalling and installing again keeps everything", func(t *testing.T) { reinstall(t, s) })
	t.Run("helm test goes through the store", func(t *testing.T) { cluster{t: t}.helm("test", "store") })
}
