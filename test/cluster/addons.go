//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"merchstore.io/merchstore/test/controlplane"
)

// installAddons installs DNS, metrics, network policies and volumes. Their pods start as soon as
// there are nodes.
func installAddons(ctx context.Context) error {
	if err := kubectl(ctx, "", "wait", "--for=create", "--timeout="+readyTimeout.String(), "namespace/kube-system"); err != nil {
		return fmt.Errorf("wait for the default namespaces: %w", err)
	}
	folders, err := makeVolumes()
	if err != nil {
		return fmt.Errorf("create volumes: %w", err)
	}
	values := map[string]any{"CoreDNS": coreDNSImage, "MetricsServer": metricsServerImage, "DNS": dnsAddress, "Volumes": folders}
	for _, name := range []string{"network-policies.yaml", "volumes.yaml", "coredns.yaml", "metrics-server.yaml"} {
		manifests, err := render(name, values)
		if err != nil {
			return err
		}
		if err := kubectl(ctx, string(manifests), "apply", "--server-side", "--filename=-"); err != nil {
			return fmt.Errorf("apply %s: %w", name, err)
		}
	}
	return nil
}

// volumes is the number of volumes.
const volumes = 12

type volume struct{ Name, Path string }

// makeVolumes creates the folders of volumes. They are world-writable, because pods run as any
// user.
func makeVolumes() ([]volume, error) {
	var all []volume
	for i := range volumes {
		name := fmt.Sprintf("folder-%d", i+1)
		v := volume{Name: name, Path: filepath.Join(home, "volumes", name)}
		if err := os.MkdirAll(v.Path, 0o700); err != nil {
			return nil, err
		}
		if err := os.Chmod(v.Path, 0o777); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// awaitReady waits until all nodes and add-ons are ready.
func awaitReady(ctx context.Context) error {
	timeout := "--timeout=" + readyTimeout.String()
	for _, n := range nodes() {
		for _, condition := range []string{"create", "condition=Ready"} {
			if err := kubectl(ctx, "", "wait", "--for="+condition, timeout, "node/"+n.name()); err != nil {
				return fmt.Errorf("wait for %s: %w", n.name(), err)
			}
		}
	}
	for _, name := range []string{"coredns", "metrics-server"} {
		if err := kubectl(ctx, "", "--namespace=kube-system", "rollout", "status", timeout, "deployment/"+name); err != nil {
			return fmt.Errorf("wait for %s: %w", name, err)
		}
	}
	// Before, kubectl would report an API that is not available.
	if err := kubectl(ctx, "", "wait", "--for=condition=Available", timeout, "apiservice/v1beta1.metrics.k8s.io"); err != nil {
		return fmt.Errorf("wait for the metrics API: %w", err)
	}
	return nil
}

// kubectl runs kubectl as the cluster's administrator.
func kubectl(ctx context.Context, in string, args ...string) error {
	program, err := controlplane.Program("kubectl")
	if err != nil {
		return err
	}
	return execute(ctx, strings.NewReader(in), program, append([]string{"--kubeconfig=" + kubeconfig()}, args...)...)
}
