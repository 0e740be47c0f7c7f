//go:build e2e

// Package e2e tests the store on the cluster of `make up`, under steady traffic. `make e2e` runs
// it. It replaces, moves and kills the store's pods, and leaves a working store. TestProduction is for a
// cluster without a store, see `make e2e-production`.
package e2e

import (
	"flag"
	"testing"
	"time"
)

var address = flag.String("url", "http://127.0.0.1:8081", "address of the store")

// limit bounds the time to start or stop a few pods on a slow machine.
const limit = 3 * time.Minute

// TestStore begins with changes that clients must not notice and ends with those that they may, and
// checks all orders and log messages. The parts share the traffic and the cluster, so they run one
// after the other.
func TestStore(t *testing.T) {
	c := cluster{t: t}
	c.settle()
	t.Run("isolation", isolation)
	t.Run("only pods with a certificate call, each in its own name", strangers)
	t.Run("nobody on the network reads what customers do", secrecy)

	s := openShop(t, c)
	s.open()
	for _, part := range []struct {
		name string
		do   func(cluster, *traffic)
	}{
		{"calls are spread evenly over DB pods, also over new ones", evenDistribution},
		{"rolling updates fail no request", updates},
		{"renewing certificates fails no request", renewals},
		{"scaling fails no request", scaling},
		{"load adds pods, and its end removes them, without a failed request", autoscaling},
		{"deleting pods fails no request", deletions},
		{"losing the cache fails no request", cacheLoss},
		{"draining a node fails no request", drain},
		{"DB pods share the scaling of pictures", pictures},
	} {
		t.Run(part.name, func(t *testing.T) {
			s.mark()
			part.do(cluster{t: t}, s)
			s.nothingFailed(t)
		})
	}
	s.close()
	t.Run("every order exists once", s.checkOrders)
	t.Run("every log message is in Kafka", func(t *testing.T) {
		c := cluster{t: t}
		s.checkLog(t, "127.0.0.1:9095", func(command string) (string, error) {
			return c.try("exec", "store-kafka-0", "--container=reload", "--", "sh", "-c", command)
		})
	})

	s.open()
	t.Run("killed processes restart, and nothing is lost", func(t *testing.T) { kills(t, s) })
	s.close()
	t.Run("every order still exists once", s.checkOrders)
	t.Run("reinstalling keeps all data", func(t *testing.T) { reinstall(t, s) })
	t.Run("helm test passes", func(t *testing.T) { cluster{t: t}.helm("test", "store") })
}
