//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"merchstore.io/merchstore/test/metrics"
)

const namespace = "shop"

// cluster is what kubectl reaches.
type cluster struct{ t *testing.T }

// kubectl runs kubectl for the store's namespace and returns what it says.
func (c cluster) kubectl(args ...string) string {
	c.t.Helper()
	said, err := c.try(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return said
}

func (c cluster) try(args ...string) (string, error) {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), "kubectl", append([]string{"--namespace", namespace}, args...)...).Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// deployments are the store's, in the order that calls go.
var deployments = []string{"store-api", "store-db", "store-logging", "store-operator"}

// settle returns when everything is as it should be.
func (c cluster) settle() {
	c.t.Helper()
	c.settleStore()
	c.kubectl("rollout", "status", "statefulset/store-prometheus", "--timeout="+limit.String())
}

// settleStore returns when all that answers requests is as it should be.
func (c cluster) settleStore() {
	c.t.Helper()
	for _, d := range deployments {
		c.kubectl("rollout", "status", "deployment/"+d, "--timeout="+limit.String())
	}
	for _, s := range []string{"store-postgresql", "store-kafka", "store-valkey"} {
		c.kubectl("rollout", "status", "statefulset/"+s, "--timeout="+limit.String())
	}
}

// pods are the names of a workload's pods that are not about to go.
func (c cluster) pods(workload string) []string {
	c.t.Helper()
	all := c.kubectl("get", "pods", "--selector=app.kubernetes.io/instance=store,app.kubernetes.io/name="+strings.TrimPrefix(workload, "store-"),
		`--template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}`)
	return strings.Fields(all)
}

// gone returns when pods are.
func (c cluster) gone(pods ...string) {
	c.t.Helper()
	for _, p := range pods {
		c.kubectl("wait", "--for=delete", "--timeout="+limit.String(), "pod/"+p)
	}
}

// replicas has the autoscaler of a deployment keep just so many pods.
func (c cluster) replicas(deployment string, n int) {
	c.t.Helper()
	before := c.pods(deployment)
	c.kubectl("patch", "horizontalpodautoscaler", deployment, "--type=merge", fmt.Sprintf(`--patch={"spec":{"minReplicas":%d,"maxReplicas":%d}}`, n, n))
	for _, replicas := range []string{"spec.replicas", "status.replicas"} {
		c.kubectl("wait", "--timeout="+limit.String(), fmt.Sprintf("--for=jsonpath={.%s}=%d", replicas, n), "deployment/"+deployment)
	}
	c.kubectl("rollout", "status", "--timeout="+limit.String(), "deployment/"+deployment)
	after := c.pods(deployment)
	c.gone(slices.DeleteFunc(before, func(p string) bool { return slices.Contains(after, p) })...)
}

// kill ends the process that a pod's container is made of, as the kernel does when memory is short. It is one of this machine: the
// cluster's nodes are on it.
func (c cluster) kill(pod string) {
	c.t.Helper()
	_, container, _ := strings.Cut(c.kubectl("get", "pod", pod, "--template={{(index .status.containerStatuses 0).containerID}}"), "://")
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, file := range groups {
		group, err := os.ReadFile(file)
		if err != nil || container == "" || !strings.Contains(string(group), container) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || !first(pid) {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	c.t.Fatalf("no process of pod %s is found on this machine", pod)
}

// first tells whether a process is the first one in its own namespace.
func first(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && regexp.MustCompile(`(?m)^NSpid:.*\t1$`).Match(status)
}

// restarts returns how often a pod's container was started again.
func (c cluster) restarts(pod string) string {
	c.t.Helper()
	return c.kubectl("get", "pod", pod, "--template={{(index .status.containerStatuses 0).restartCount}}")
}

// sum is that of a pod's metric, see [metrics.Families.Sum]. NetworkPolicies are no hindrance to a port that is forwarded.
func (c cluster) sum(pod, metric string, labels map[string]string) float64 {
	c.t.Helper()
	url, end := c.forward("pod/" + pod)
	defer end()
	read, err := metrics.Read(c.t.Context(), url)
	if err != nil {
		c.t.Fatal(err)
	}
	return read.Sum(metric, labels)
}

// forward returns where port 9090 of a pod or Service is reached until the end is called.
func (c cluster) forward(to string) (url string, end func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	forward := exec.CommandContext(ctx, "kubectl", "--namespace", namespace, "port-forward", to, ":9090")
	said, err := forward.StdoutPipe()
	if err == nil {
		err = forward.Start()
	}
	if err != nil {
		cancel()
		c.t.Fatalf("forward a port of %s: %v", to, err)
	}
	end = func() { cancel(); _ = forward.Wait() }
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		end()
		c.t.Fatalf("forward a port of %s: %v", to, err)
	}
	return "http://" + strings.Fields(strings.TrimPrefix(line, "Forwarding from "))[0], end
}

// eventually asks again and again.
func (c cluster) eventually(what string, is func() bool) {
	c.t.Helper()
	c.within(limit, what, is)
}

func (c cluster) within(limit time.Duration, what string, is func() bool) {
	c.t.Helper()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for enough := time.After(limit); !is(); {
		select {
		case <-again.C:
		case <-enough:
			c.t.Fatalf("%s: not within %s", what, limit)
		}
	}
}
