//go:build e2e && linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"merchstore.io/merchstore/internal/image"
	"merchstore.io/merchstore/test/controlplane"
)

// TestCluster starts, uses, kills and removes a cluster (`make test-cluster`). It needs root, and a
// machine can run only one cluster.
func TestCluster(t *testing.T) {
	programs := buildPrograms(t)
	held, err := lock()
	if err != nil {
		t.Fatalf("this test would remove a cluster: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	command(t, programs, "down")
	dropForwarded(t)
	before := traces(t)

	t.Cleanup(func() { command(t, programs, "down") })
	began := time.Now()
	t.Log(command(t, programs, "up"))
	t.Logf("up took %s", time.Since(began).Round(time.Second))
	loadProbe(t, programs)
	t.Run("up changes nothing in a cluster that runs", func(t *testing.T) {
		was := holder()
		command(t, programs, "up")
		if is := holder(); is != was || is == 0 {
			t.Errorf("the supervisor was process %d and is %d", was, is)
		}
	})
	t.Run("a pod runs on every node", podOnEveryNode)
	t.Run("a Service's DNS name reaches the pods of all nodes", serviceReachesAllNodes)
	t.Run("kubectl logs shows the logs of a pod", showsLogs)
	t.Run("kubectl port-forward reaches a Service", portForward)
	t.Run("a pod that violates the restricted standard is rejected", weakPodIsRejected)
	t.Run("an image that is pushed runs by its new name, and by the one that was loaded", func(t *testing.T) { pushedImageRuns(t, programs) })
	t.Run("the metrics API reports the usage of pods", measuresUsage)
	t.Run("NetworkPolicies are enforced", policiesAreEnforced)

	if err := syscall.Kill(holder(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	command(t, programs, "down")
	leavesNoTraces(t, "down after a crash", before)
	crashDuringUp(t, programs)
	command(t, programs, "down")
	leavesNoTraces(t, "down after a crash during up", before)
	command(t, programs, "up")
	command(t, programs, "down")
	leavesNoTraces(t, "down", before)
}

// crashDuringUp starts a cluster and kills its supervisor while it starts the nodes.
func crashDuringUp(t *testing.T, programs string) {
	t.Helper()
	up := exec.CommandContext(t.Context(), filepath.Join(programs, "cluster"), "up")
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(logFile("worker-2-containerd")); err == nil {
			break
		}
		<-ticker.C
	}
	if err := syscall.Kill(holder(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := up.Wait(); err == nil {
		t.Error("up succeeded although its supervisor was killed")
	}
}

// buildPrograms builds the programs of this package and returns their folder.
func buildPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// The tag links the probe statically: its image contains nothing else.
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "netgo", "-o", dir, ".", "./pause", "./probe")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, said)
	}
	return dir
}

// command runs the cluster program, even if the test has ended.
func command(t *testing.T, programs string, args ...string) string {
	t.Helper()
	said, err := exec.CommandContext(context.Background(), filepath.Join(programs, "cluster"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("cluster %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return string(said)
}

// loadProbe loads the probe's image into all nodes and runs a probe on each.
func loadProbe(t *testing.T, programs string) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "probe.tar")
	if err := makeImage(archive, "merchstore-test/probe:dev", filepath.Join(programs, "probe")); err != nil {
		t.Fatal(err)
	}
	command(t, programs, "load", archive)
	kube(t, "apply", "--filename=testdata/probe.yaml")
	kube(t, "--namespace=probe", "rollout", "status", "daemonset/probe", "--timeout=2m")
}

// pushedImageRuns pushes the probe under a new name, runs it by that name, and again by the name that was
// loaded.
func pushedImageRuns(t *testing.T, programs string) {
	const tag = registryAddress + "/merchstore-test/pushed:dev"
	to, err := name.ParseReference(tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := image.Program(filepath.Join(programs, "probe"), runtime.GOARCH, nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to, pushed, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{tag, "merchstore-test/probe:dev"} {
		kube(t, "--namespace=probe", "set", "image", "daemonset/probe", "*="+ref)
		kube(t, "--namespace=probe", "rollout", "status", "daemonset/probe", "--timeout=2m")
	}
}

// newKube returns a kubectl command that runs as the cluster's administrator.
func newKube(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := controlplane.Program("kubectl")
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), program, append([]string{"--kubeconfig=" + kubeconfig()}, args...)...)
}

func kube(t *testing.T, args ...string) string {
	t.Helper()
	said, err := newKube(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return strings.TrimSpace(string(said))
}

// dropForwarded drops forwarded packets, also bridged ones, as Docker does and leaves it.
func dropForwarded(t *testing.T) {
	t.Helper()
	const bridged = "/proc/sys/net/bridge/bridge-nf-call-iptables" // there once something has asked for it
	shell := func(script string) string {
		t.Helper()
		said, err := exec.CommandContext(context.Background(), "/bin/sh", "-ec", script).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", script, err, said)
		}
		return strings.TrimSpace(string(said))
	}
	policy := shell("iptables --wait --list-rules FORWARD | sed -n 's/^-P FORWARD //p'")
	was := shell("modprobe -q br_netfilter || true; cat " + bridged)
	t.Cleanup(func() { shell("iptables --wait --policy FORWARD " + policy + "; echo " + was + " >" + bridged) })
	shell("iptables --wait --policy FORWARD DROP; echo 1 >" + bridged)
}

func podOnEveryNode(t *testing.T) {
	on := strings.Fields(kube(t, "--namespace=probe", "get", "pods", "--output=jsonpath={.items[*].spec.nodeName}"))
	slices.Sort(on)
	if want := []string{"worker-1", "worker-2", "worker-3"}; !slices.Equal(on, want) {
		t.Errorf("pods run on %v, want %v", on, want)
	}
}

func serviceReachesAllNodes(t *testing.T) {
	pods := strings.Fields(kube(t, "--namespace=probe", "get", "pods", "--output=jsonpath={.items[*].metadata.name}"))
	for _, from := range pods { // a pod may reach itself
		seen := map[string]bool{}
		for range 60 {
			seen[kube(t, "--namespace=probe", "exec", from, "--", "/program", "get", "http://probe.probe.svc.cluster.local/")] = true
			if len(seen) == workers {
				break
			}
		}
		if len(seen) != workers {
			t.Errorf("%s reaches %v, want all of %v", from, seen, pods)
		}
	}
}

func showsLogs(t *testing.T) {
	for _, pod := range strings.Fields(kube(t, "--namespace=probe", "get", "pods", "--output=name")) {
		if logs := kube(t, "--namespace=probe", "logs", pod); !strings.Contains(logs, "GET /ready from ") {
			t.Errorf("the logs of %s are %q", pod, logs)
		}
	}
}

func portForward(t *testing.T) {
	forward := newKube(t, "--namespace=probe", "port-forward", "service/probe", ":80")
	out, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = forward.Process.Kill()
		_ = forward.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n') // Forwarding from 127.0.0.1:40123 -> 8080
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(line, "from ")
	address, _, _ = strings.Cut(address, " ")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if name, err := io.ReadAll(answer.Body); err != nil || !bytes.HasPrefix(name, []byte("probe-")) {
		t.Errorf("it answers %q, %v", name, err)
	}
}

func weakPodIsRejected(t *testing.T) {
	said, err := newKube(t, "--namespace=probe", "run", "weak", "--image=merchstore-test/probe:dev").CombinedOutput()
	if err == nil || !strings.Contains(string(said), `violates PodSecurity "restricted`) {
		t.Errorf("kubectl printed %q, %v", said, err)
	}
}

func measuresUsage(t *testing.T) {
	var said []byte
	for began := time.Now(); time.Since(began) < 2*time.Minute; { // a value takes two measurements
		var err error
		said, err = newKube(t, "--namespace=probe", "top", "pods", "--no-headers").CombinedOutput()
		if lines := bytes.Count(said, []byte("\nprobe-")); err == nil && lines == workers-1 { // plus the first line
			return
		}
	}
	t.Errorf("kubectl top printed %q", said)
}

// traces returns what a cluster could leave on the machine, by the command that shows it.
func traces(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, show := range []string{
		"cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/panic /proc/sys/kernel/panic_on_oops /proc/sys/vm/overcommit_memory",
		"grep -v /run/netns /proc/self/mountinfo", // iproute2 keeps this mount
		"ip netns list",
		"ip -oneline link | cut -d: -f2",
		"ip route",
		"nft list ruleset",
		"find /sys/fs/cgroup -name '" + prefix + "*'",
		"ls -d " + home + " /run/containerd /var/log/containers /var/log/pods /var/lib/kubelet /var/lib/containerd /var/lib/cni /opt/*",
		"pgrep -af '[" + home[:1] + "]" + home[1:] + "'", // except this command
	} {
		said, _ := exec.CommandContext(t.Context(), "/bin/sh", "-c", show+" 2>&1").Output() // most fail if they find nothing
		all[show] = string(said)
	}
	return all
}

func leavesNoTraces(t *testing.T, what string, before map[string]string) {
	t.Helper()
	for show, is := range traces(t) {
		if was := before[show]; is != was {
			t.Errorf("%s: %s\nwas:\n%s\nis:\n%s", what, show, was, is)
		}
	}
	if _, err := os.Stat(home); err == nil {
		t.Errorf("%s: %s is still there", what, home)
	}
}
