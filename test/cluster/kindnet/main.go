// Command kindnet is the network of a kind cluster whose node image is built without a registry. It
// replaces kind's own kindnetd, which is not published as a Go module, in the DaemonSet that kind
// creates. On each node, it configures CNI, adds routes to the pods of the other nodes, and enforces
// NetworkPolicies.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"merchstore.io/merchstore/test/cluster/policy"
)

// network is the CNI configuration, with the plugins of kind's own network.
const network = `{
  "cniVersion": "0.4.0",
  "name": "kindnet",
  "plugins": [
    {"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/cni-ipam-state"}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

// networkFile is in a directory of the node.
const networkFile = "/etc/cni/net.d/10-kindnet.conflist"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "kindnet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	log.SetLogger(klog.NewKlogr())
	own, err := os.Hostname() // with hostNetwork, the node's name
	if err != nil {
		return fmt.Errorf("find the node's name: %w", err)
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	nodes, err := cache.New(config, cache.Options{})
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	informer, err := nodes.GetInformer(ctx, &corev1.Node{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	ended := make(chan error, 1)
	end := func(err error) {
		select {
		case ended <- err:
		default: // not the first
		}
	}
	see := func(object any) {
		n, ok := object.(*corev1.Node)
		if !ok {
			return
		}
		if err := connect(ctx, n, n.Name == own); err != nil {
			end(err)
		}
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, after any) { see(after) }})
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	go func() { end(nodes.Start(ctx)) }()
	go func() {
		end(policy.Enforce(ctx, config, own, func(ctx context.Context, rules string) error {
			return execute(ctx, rules, "nft", "--file", "-")
		}))
	}()
	return <-ended
}

// connect configures CNI for the pods of its own node, or a route to those of another.
func connect(ctx context.Context, n *corev1.Node, own bool) error {
	if n.Spec.PodCIDR == "" { // not yet
		return nil
	}
	if own {
		if err := writeNetwork(fmt.Sprintf(network, n.Spec.PodCIDR)); err != nil {
			return fmt.Errorf("configure the network of pods: %w", err)
		}
		return nil
	}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return execute(ctx, "", "ip", "route", "replace", n.Spec.PodCIDR, "via", a.Address)
		}
	}
	return nil
}

// writeNetwork writes networkFile if it differs. containerd reads it on every change.
func writeNetwork(text string) error {
	if last, err := os.ReadFile(networkFile); err == nil && string(last) == text {
		return nil
	}
	part := filepath.Join(filepath.Dir(networkFile), ".part")
	return errors.Join(os.WriteFile(part, []byte(text), 0o600), os.Rename(part, networkFile))
}

func execute(ctx context.Context, in, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
