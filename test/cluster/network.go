//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// makeBridge makes the network that all nodes are plugged into, and the host's own address in it.
func makeBridge(ctx context.Context) error {
	if err := batch(ctx, "", `
		link add `+bridge+` type bridge
		address add `+hostAddress+`/24 dev `+bridge+`
		link set `+bridge+` up`); err != nil {
		return err
	}
	return acceptForwarded(ctx)
}

// forwarding accepts what nodes receive and what they send.
var forwarding = [][]string{
	{"FORWARD", "--in-interface", bridge, "--jump", "ACCEPT"},
	{"FORWARD", "--out-interface", bridge, "--jump", "ACCEPT"},
}

// acceptForwarded adds the rules of forwarding if the chain's policy is DROP. Docker sets that policy,
// also for bridged packets, and leaves it when it stops.
func acceptForwarded(ctx context.Context) error {
	if policy, err := iptables(ctx, "--list-rules", "FORWARD"); err != nil || !strings.Contains(policy, "-P FORWARD DROP") {
		return err
	}
	for _, rule := range forwarding {
		if _, err := iptables(ctx, append([]string{"--check"}, rule...)...); err == nil {
			continue
		}
		if _, err := iptables(ctx, append([]string{"--insert"}, rule...)...); err != nil {
			return err
		}
	}
	return nil
}

// removeForwarding removes the rules of forwarding that exist.
func removeForwarding(ctx context.Context) error {
	for _, rule := range forwarding {
		if _, err := iptables(ctx, append([]string{"--check"}, rule...)...); err != nil {
			continue
		}
		if _, err := iptables(ctx, append([]string{"--delete"}, rule...)...); err != nil {
			return err
		}
	}
	return nil
}

func iptables(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "iptables", append([]string{"--wait"}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("iptables %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), err
}

// connect creates a node's network namespace and connects it to the bridge, so that the host and the
// other nodes can reach its pods.
func (n node) connect(ctx context.Context) error {
	if err := batch(ctx, "", `
		netns add `+n.device()+`
		link add `+n.device()+` type veth peer name eth0 netns `+n.device()+`
		link set `+n.device()+` master `+bridge+` up
		route add `+n.pods()+` via `+n.address().String()); err != nil {
		return err
	}
	var others strings.Builder
	for _, other := range nodes() {
		if other != n {
			fmt.Fprintf(&others, "route add %s via %s\n", other.pods(), other.address())
		}
	}
	return batch(ctx, n.device(), `
		link set lo up
		address add `+n.address().String()+`/24 dev eth0
		link set eth0 up
		route add default via `+hostAddress+"\n"+others.String())
}

// removeNetwork removes what exists of the network.
func removeNetwork(ctx context.Context) error {
	var all []error
	for _, n := range nodes() {
		all = append(all,
			removeIfThere(ctx, n.namespace(), "netns", "delete", n.device()),
			removeIfThere(ctx, filepath.Join("/sys/class/net", n.device()), "link", "delete", n.device()))
	}
	return errors.Join(append(all, removeForwarding(ctx), removeIfThere(ctx, filepath.Join("/sys/class/net", bridge), "link", "delete", bridge))...)
}

// removeIfThere runs an ip command that removes an object, if the file that represents the object
// exists. It ignores the command's error if the file is gone afterwards: the kernel removes the devices
// of a namespace shortly after the namespace.
func removeIfThere(ctx context.Context, file string, args ...string) error {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := execute(ctx, nil, "ip", args...)
	if _, gone := os.Stat(file); errors.Is(gone, fs.ErrNotExist) {
		return nil
	}
	return err
}

// batch runs a list of ip commands in a network namespace, or in the host's, until one fails.
func batch(ctx context.Context, namespace, commands string) error {
	args := []string{"-batch", "-"}
	if namespace != "" {
		args = append([]string{"-netns", namespace}, args...)
	}
	return execute(ctx, strings.NewReader(commands), "ip", args...)
}
