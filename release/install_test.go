//go:build e2e

package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The cluster of `make cluster-up`.
const (
	clusterRegistry = "198.18.0.1:5000"
	kubeconfig      = "/var/lib/merchstore-cluster/kubeconfig"
	namespace       = "release"
)

// TestInstall installs a release from the registry of `make cluster-up`. No node has its images, and no
// value names them: all values are about the infrastructure's images, which cannot be pulled there.
func TestInstall(t *testing.T) {
	commit, key := checkout(t), newKey(t, "release")
	folder := publish(t, commit, clusterRegistry, key, "REGISTRY_INSECURE=true")

	kubectl := func(args ...string) string {
		return inCluster(t, "../build/cluster/kubectl", append(args, "--namespace", namespace)...)
	}
	helm := func(args ...string) string {
		return inCluster(t, tool(t, "helm"), append(args, "--namespace", namespace)...)
	}
	inCluster(t, "../build/cluster/cluster", "infrastructure")
	t.Cleanup(func() {
		remove := exec.CommandContext(context.WithoutCancel(t.Context()), "../build/cluster/kubectl", "--kubeconfig="+kubeconfig,
			"delete", "namespace", namespace, "--ignore-not-found", "--timeout=3m")
		if said, err := remove.CombinedOutput(); err != nil {
			t.Errorf("remove the namespace: %v\n%s", err, said)
		}
	})

	helm("install", "store", "oci://"+clusterRegistry+"/shop/merchstore", "--version="+version, "--plain-http", "--create-namespace",
		"--values=../k8s/local/no-registry.yaml", "--wait", "--timeout=6m")
	helm("test", "store")

	running := kubectl("get", "pods", `--output=jsonpath={range .items[*].spec.containers[*]}{.image}{"\n"}{end}`)
	for _, digest := range strings.Fields(content(t, folder, "digests.txt")) {
		at, sum, _ := strings.Cut(digest, "@")
		installed := !strings.HasSuffix(at, "/loadgen") && !strings.HasSuffix(at, "/merchstore")
		if want := at + ":" + version + "@" + sum; installed && !strings.Contains(running, want) {
			t.Errorf("no pod runs %s:\n%s", want, running)
		}
	}
	helm("uninstall", "store", "--wait")
}

// inCluster runs a program for the cluster and returns what it prints.
func inCluster(t *testing.T, program string, args ...string) string {
	t.Helper()
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	said, err := execute(t, "", []string{"KUBECONFIG=" + kubeconfig}, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(program), args[0], err, said)
	}
	return said
}
