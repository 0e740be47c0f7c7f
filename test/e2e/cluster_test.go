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

// cluster is the cluster of the current kubectl context.
type cluster struct{ t *testing.T }

// kubectl runs kubectl in the store's namespace and returns its output.
func (c cluster) kubectl(args ...string) string {
	c.t.Helper()
	output, err := c.try(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return output
}

func (c cluster) try(args ...string) (string, error) {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), "kubectl", append([]string{"--namespace", namespace}, args...)...).Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// deployments are the store's Deployments, in the direction of calls.
var deployments = []string{"store-api", "store-db", "store-logging", "store-operator"}

// settle waits until all workloads are rolled out.
func (c cluster) settle() {
	c.t.Helper()
	c.settleStore()
	c.kubectl("rollout", "status", "statefulset/store-prometheus", "--timeout="+limit.String())
}

// settleStore waits until everything that serves requests is ready.
func (c cluster) settleStore() {
	c.t.Helper()
	for _, d := range deployments {
		c.kubectl("rollout", "status", "deployment/"+d, "--timeout="+limit.String())
	}
	for _, s := range []string{"store-postgresql", "store-kafka", "store-valkey"} {
		c.kubectl("rollout", "status", "statefulset/"+s, "--timeout="+limit.String())
	}
}

// pods returns the names of a workload's pods that are not being deleted.
func (c cluster) pods(workload string) []string {
	c.t.Helper()
	all := c.kubectl("get", "pods", "--selector=app.kubernetes.io/instance=store,app.kubernetes.io/name="+strings.TrimPrefix(workload, "store-"),
		`--template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}`)
	return strings.Fields(all)
}

// gone waits until the pods are deleted.
func (c cluster) gone(pods ...string) {
	c.t.Helper()
	for _, p := range pods {
		c.kubectl("wait", "--for=delete", "--timeout="+limit.String(), "pod/"+p)
	}
}

// replicas sets the number of pods of an autoscaled deployment.
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

// kill kills the process of a pod's container with SIGKILL, as the kernel does when memory is
// short. The cluster's nodes run on this machine, and so does the process.
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
	c.t.Fatalf("no process of pod %s found on this machine", pod)
}

// first reports whether a process is the first one in its PID namespace.
func first(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && regexp.MustCompile(`(?m)^NSpid:.*\t1$`).Match(status)
}

// restarts returns the restart count of a pod's container.
func (c cluster) restarts(pod string) string {
	c.t.Helper()
	return c.kubectl("get", "pod", pod, "--template={{(index .status.containerStatuses 0).restartCount}}")
}

// sum returns the sum of a pod's metric, see [metrics.Families.Sum]. NetworkPolicies do not apply
// to forwarded ports.
func (c cluster) sum(pod, metric string, labels map[string]string) float64 {
	c.t.Helper()
	url, end := c.forward("pod/"+pod, "9090")
	defer end()
	read, err := metrics.Read(c.t.Context(), url)
	if err != nil {
		c.t.Fatal(err)
	}
	return read.Sum(metric, labels)
}

// forward forwards a port of a pod or Service until end is called, and returns its URL.
func (c cluster) forward(to, port string) (url string, end func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	forward := exec.CommandContext(ctx, "kubectl", "--namespace", namespace, "port-forward", to, ":"+port)
	output, err := forward.StdoutPipe()
	if err == nil {
		err = forward.Start()
	}
	if err != nil {
		cancel()
		c.t.Fatalf("forward a port of %s: %v", to, err)
	}
	end = func() { cancel(); _ = forward.Wait() }
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		end()
		c.t.Fatalf("forward a port of %s: %v", to, err)
	}
	return "http://" + strings.Fields(strings.TrimPrefix(line, "Forwarding from "))[0], end
}

// eventually polls until is returns true.
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
			c.t.Fatalf("waited %[2]s for: %[1]s", what, limit)
		}
	}
}
