package main

import (
	"context"
	"fmt"
	"strings"

	"merchstore.io/merchstore/test/controlplane"
)

// installAddons creates what every cluster has. Its pods start as soon as there are nodes.
func installAddons(ctx context.Context) error {
	if err := kubectl(ctx, "", "wait", "--for=create", "--timeout="+readyTimeout.String(), "namespace/kube-system"); err != nil {
		return fmt.Errorf("wait for the namespaces that Kubernetes makes: %w", err)
	}
	values := map[string]string{"CoreDNS": coreDNSImage, "MetricsServer": metricsServerImage, "DNS": dnsAddress}
	for _, name := range []string{"network-policies.yaml", "coredns.yaml", "metrics-server.yaml"} {
		manifests, err := render(name, values)
		if err != nil {
			return err
		}
		if err := kubectl(ctx, string(manifests), "apply", "--server-side", "--filename=-"); err != nil {
			return fmt.Errorf("create what is in %s: %w", name, err)
		}
	}
	return nil
}

// awaitReady returns when all nodes are ready, and so is what runs on every cluster.
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
	// Until it is asked, kubectl would complain about an API that is not there.
	if err := kubectl(ctx, "", "wait", "--for=condition=Available", timeout, "apiservice/v1beta1.metrics.k8s.io"); err != nil {
		return fmt.Errorf("wait until metrics are served: %w", err)
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
