//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// postgresql is the Cluster of docs/production.md.
const postgresql = "cluster.postgresql.cnpg.io/shop-pg"

func (c cluster) primary() string {
	c.t.Helper()
	return c.kubectl("get", postgresql, "--template={{.status.currentPrimary}}")
}

func (c cluster) nodeOf(pod string) string {
	c.t.Helper()
	return c.kubectl("get", "pod", pod, "--template={{.spec.nodeName}}")
}

// nodes returns the addresses of the workers by name.
func (c cluster) nodes() map[string]string {
	c.t.Helper()
	found := map[string]string{}
	all := c.kubectl("get", "nodes", "--template={{range .items}}{{.metadata.name}} {{(index .status.addresses 0).address}}\n{{end}}")
	for line := range strings.Lines(all) {
		name, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[name] = address
	}
	return found
}

// awaitPrimary waits until another instance than one is the primary.
func (c cluster) awaitPrimary(not string) {
	c.t.Helper()
	c.eventually("there is another primary than "+not, func() bool { return c.primary() != not })
}

// switchOver makes an instance the primary that is not on one of the nodes, as `kubectl cnpg promote` does.
func (c cluster) switchOver(not ...string) {
	c.t.Helper()
	primary := c.primary()
	instances := strings.Fields(c.kubectl("get", "pods", "--selector=cnpg.io/cluster=shop-pg,cnpg.io/podRole=instance", "--template={{range .items}}{{.metadata.name}} {{end}}"))
	to := slices.IndexFunc(instances, func(i string) bool { return i != primary && !slices.Contains(not, c.nodeOf(i)) })
	if to < 0 {
		c.t.Fatalf("of %s, none is to be the primary", instances)
	}
	c.kubectl("patch", postgresql, "--subresource=status", "--type=merge", fmt.Sprintf(
		`--patch={"status":{"targetPrimary":%q,"targetPrimaryTimestamp":%q,"phase":"Switchover in progress","phaseReason":"Switching over to %[1]s"}}`,
		instances[to], time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")))
	c.awaitPrimary(primary)
}

func switchovers(c cluster, s *traffic) {
	for range 2 {
		c.switchOver()
		s.awaitOrders(c)
		settleProduction(c)
	}
}

func killedPrimary(c cluster, _ *traffic) {
	primary := c.primary()
	before := c.restarts(primary)
	c.kill(primary)
	c.eventually("the primary is restarted", func() bool { return c.restarts(primary) != before })
}

func deletedPrimary(c cluster, _ *traffic) {
	primary := c.primary()
	c.kubectl("delete", "pod", primary, "--grace-period=0", "--force")
	c.awaitPrimary(primary)
}

func killedBrokers(c cluster, _ *traffic) {
	for i := range 3 {
		broker := fmt.Sprintf("store-kafka-%d", i)
		before := c.restarts(broker)
		c.kill(broker)
		c.eventually("the broker is restarted", func() bool { return c.restarts(broker) != before })
		c.kubectl("rollout", "status", "statefulset/store-kafka", "--timeout="+limit.String())
	}
}

func restartedKafka(c cluster, _ *traffic) {
	for range 2 {
		c.kubectl("rollout", "restart", "statefulset/store-kafka")
		c.kubectl("rollout", "status", "statefulset/store-kafka", "--timeout="+limit.String())
	}
}

func drainedPrimary(c cluster, s *traffic) {
	primary := c.primary()
	node := c.nodeOf(primary)
	defer c.kubectl("uncordon", node)
	c.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout="+limit.String())
	s.awaitOrders(c)
}

// cutOffPrimary cuts the primary's node off from the network, on which its processes go on. A node that
// clients come in by stays.
func cutOffPrimary(c cluster, s *traffic) {
	var entries []string
	for name, host := range c.nodes() {
		if strings.Contains(*address, "//"+host+":") {
			entries = append(entries, name)
		}
	}
	if slices.Contains(entries, c.nodeOf(c.primary())) {
		c.switchOver(entries...)
		settleProduction(c)
		s.mark()
	}
	primary := c.primary()
	node := c.nodeOf(primary)
	link := func(state string) {
		if output, err := exec.CommandContext(context.Background(), "ip", "link", "set", "mc-"+node, state).CombinedOutput(); err != nil {
			c.t.Errorf("set the link of %s %s: %v %s", node, state, err, output)
		}
	}
	link("down")
	defer func() {
		link("up")
		c.kubectl("wait", "--for=condition=Ready", "--timeout="+limit.String(), "node/"+node)
	}()
	c.awaitPrimary(primary)
	s.awaitOrders(c)
}
