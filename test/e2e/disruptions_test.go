//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// evenDistribution counts the calls of three DB pods, one of which is new.
func evenDistribution(c cluster, _ *traffic) {
	orders := map[string]string{"grpc_method": "PlaceOrder", "grpc_code": "OK"}
	c.replicas("store-db", 3)
	defer c.replicas("store-db", 2)
	pods := c.pods("store-db")
	count := func() (all []float64) {
		for _, p := range pods {
			all = append(all, c.sum(p, "grpc_server_handled_total", orders))
		}
		return all
	}
	c.eventually("all pods are called", func() bool { return !slices.Contains(count(), 0) })
	// One client has found the new pod. The last one does when its connections reach their maximum
	// age, after a minute.
	<-time.After(70 * time.Second)
	before := count()
	<-time.After(30 * time.Second)
	shares := count()
	var sum float64
	for i := range shares {
		shares[i] -= before[i]
		sum += shares[i]
	}
	fair := sum / float64(len(pods))
	c.t.Logf("calls of %v in half a minute: %v", pods, shares)
	for i, share := range shares {
		if share < 0.8*fair || share > 1.2*fair {
			c.t.Errorf("%s got %.0f calls, want about %.0f", pods[i], share, fair)
		}
	}
}

func updates(c cluster, _ *traffic) {
	for _, d := range deployments {
		old := c.pods(d)
		c.kubectl("rollout", "restart", "deployment/"+d)
		c.kubectl("rollout", "status", "deployment/"+d, "--timeout="+limit.String())
		c.gone(old...)
	}
}

func scaling(c cluster, _ *traffic) {
	c.replicas("store-api", 6)
	for _, p := range c.pods("store-api") {
		c.eventually("pod "+p+" gets requests", func() bool { return c.sum(p, "http_requests_total", nil) > 0 })
	}
	c.replicas("store-api", 2)
}

// autoscaling reads until the autoscaler has added pods, and waits until it has removed them.
func autoscaling(c cluster, s *traffic) {
	usual := c.kubectl("get", "horizontalpodautoscaler", "store-api", "--output=jsonpath={.spec}")
	defer c.kubectl("patch", "horizontalpodautoscaler", "store-api", "--type=json", `--patch=[{"op":"replace","path":"/spec","value":`+usual+`}]`)
	// More CPU than the buyers need, less than the readers take, and a shorter wait than usual.
	c.kubectl("patch", "horizontalpodautoscaler", "store-api", "--type=merge", `--patch={"spec":{"minReplicas":2,"maxReplicas":4,
		"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":150}}}],
		"behavior":{"scaleDown":{"stabilizationWindowSeconds":15}}}}`)
	replicas := func() string { return c.kubectl("get", "deployment/store-api", "--template={{.status.readyReplicas}}") }
	ctx, stop := context.WithCancel(c.t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	for _, b := range s.buyers {
		readers.Go(func() {
			for ctx.Err() == nil {
				s.insist(b, http.MethodGet, fmt.Sprintf("/api/v1/products/%d", s.product), "", "", http.StatusOK, nil)
			}
		})
	}
	c.eventually("load adds pods", func() bool { return slices.Contains([]string{"3", "4"}, replicas()) })
	c.t.Logf("%s pods under load", replicas())
	stop()
	c.eventually("its end removes them", func() bool { return replicas() == "2" })
	c.replicas("store-api", 2)
}

// deletions deletes each pod in turn, except PostgreSQL's only one: without it no order can be
// placed, see kills.
func deletions(c cluster, _ *traffic) {
	for _, d := range deployments {
		for _, p := range c.pods(d) {
			c.kubectl("delete", "pod", p)
			c.settle()
		}
	}
	c.kubectl("delete", "pod", "store-kafka-0")
	c.settle()
}

// drain drains a node and makes it schedulable again: of the nodes without PostgreSQL and Kafka,
// the one with the most pods of the store.
func drain(c cluster, _ *traffic) {
	busy := strings.Fields(c.kubectl("get", "pod", "store-postgresql-0", "store-kafka-0", "--template={{range .items}}{{.spec.nodeName}} {{end}}"))
	all := c.kubectl("get", "nodes", "--selector=!node-role.kubernetes.io/control-plane", "--template={{range .items}}{{.metadata.name}} {{end}}")
	var fullest string
	var most []string
	for node := range strings.FieldsSeq(all) {
		pods := strings.Fields(c.kubectl("get", "pods", "--output=name", "--selector=app.kubernetes.io/name in (api, db, logging)",
			"--field-selector=spec.nodeName="+node))
		if !slices.Contains(busy, node) && len(pods) > len(most) {
			fullest, most = node, pods
		}
	}
	if fullest == "" {
		c.t.Fatalf("no node of %s has pods of the store, except those of PostgreSQL and Kafka, %s", all, busy)
	}
	c.t.Logf("%s has %s", fullest, most)
	defer c.settle()
	defer c.kubectl("uncordon", fullest)
	c.kubectl("drain", fullest, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout="+limit.String())
	c.settleStore() // Prometheus may have to wait for its node, which its volume is on
}
