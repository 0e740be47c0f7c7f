//go:build linux

// Command cluster runs a real Kubernetes cluster on a Linux machine that has no container engine: the
// control plane as processes of the machine, and three workers, each with its own namespaces,
// containerd, kubelet and kube-proxy. Pods, Services, cluster DNS and kubectl work as on any cluster.
// Pods cannot reach anything outside the cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

const usage = `usage:
  cluster up                   start the cluster, unless it runs, and wait until its nodes are ready
  cluster down                 stop it and remove all that it created, also when it was killed half-way
  cluster load ARCHIVE.tar ... load images into all nodes
  cluster infrastructure       load an image with PostgreSQL, Kafka, Redis and Prometheus, which is built the first time
  cluster infrastructure --archive    print that image's path, and build it the first time, without a cluster
  cluster cloudnative-pg       install the operator CloudNativePG, and load an image of PostgreSQL for it
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		fmt.Fprint(out, usage)
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("creating namespaces and networks requires root")
	}
	switch command, args := args[0], args[1:]; {
	case command == "up" && len(args) == 0:
		return up(ctx, out)
	case command == "down" && len(args) == 0:
		return down(ctx, out)
	case command == "load" && len(args) > 0:
		return load(ctx, args)
	case command == "infrastructure" && len(args) == 0:
		archive, err := infrastructure(ctx, out)
		if err != nil {
			return err
		}
		return load(ctx, []string{archive})
	case command == "infrastructure" && len(args) == 1 && args[0] == "--archive":
		archive, err := infrastructure(ctx, os.Stderr)
		if err == nil {
			_, err = fmt.Fprintln(out, archive)
		}
		return err
	case command == "cloudnative-pg" && len(args) == 0:
		return installCloudNativePG(ctx, out)
	case command == "serve" && len(args) == 0: // the supervisor, started by up
		return serve(ctx)
	case command == "node" && len(args) == 1: // started by serve in a node's namespaces
		return runNode(ctx, args[0])
	default:
		return fmt.Errorf("unknown arguments %q\n%s", append([]string{command}, args...), usage)
	}
}
