//go:build e2e

package e2e

import "testing"

// kills kills a process of each kind with SIGKILL, one after the other.
func kills(t *testing.T, s *traffic) {
	for _, workload := range append(deployments, "store-kafka", "store-valkey", "store-postgresql") {
		t.Run(workload, func(t *testing.T) {
			c := cluster{t: t}
			s.mark()
			pod := c.pods(workload)[0]
			before := c.restarts(pod)
			c.kill(pod)
			c.eventually("the container is restarted", func() bool { return c.restarts(pod) != before })
			c.kubectl("wait", "--for=condition=Ready", "--timeout="+limit.String(), "pod/"+pod)
			c.settle()
			s.onlyRetries(t)
		})
	}
}
