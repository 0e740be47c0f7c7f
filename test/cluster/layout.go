//go:build linux

package main

import (
	"fmt"
	"net"
	"path/filepath"
)

// Everything has one place or one prefix, so that it can be removed even after a crash.
const (
	// home is the folder of all files of the cluster. There is one cluster per machine, because
	// network names are global.
	home = "/var/lib/merchstore-cluster"
	// bridge is the host's network bridge that connects all nodes.
	bridge = "mc0"
	// prefix is the prefix of the names of the nodes' network namespaces, veth devices and cgroups.
	prefix = "mc-"
)

// All addresses are in the range reserved for benchmarks, which does not collide with private
// networks.
const (
	hostAddress  = "198.18.0.1"
	nodeRange    = "198.18.0.0/24"
	podRange     = "198.18.64.0/18"
	serviceRange = "198.19.0.0/16"
	dnsAddress   = "198.19.0.10"
)

// workers is the number of nodes besides the host, which runs the control plane.
const workers = 3

// node is a worker: a set of namespaces with a containerd, a kubelet and a kube-proxy.
type node struct{ number int }

func nodes() []node {
	var all []node
	for i := range workers {
		all = append(all, node{number: i + 1})
	}
	return all
}

func findNode(name string) (node, error) {
	for _, n := range nodes() {
		if n.name() == name {
			return n, nil
		}
	}
	return node{}, fmt.Errorf("unknown node %q", name)
}

func (n node) name() string { return fmt.Sprintf("worker-%d", n.number) }

// device returns the name of the node's network namespace, veth device and cgroups.
func (n node) device() string { return prefix + n.name() }

func (n node) namespace() string { return filepath.Join("/run/netns", n.device()) }

func (n node) address() net.IP { return net.IPv4(198, 18, 0, byte(10+n.number)) }

// pods returns the address range of the node's pods.
func (n node) pods() string { return fmt.Sprintf("198.18.%d.0/24", 64+n.number) }

// file returns the path of one of the node's files.
func (n node) file(path ...string) string {
	return filepath.Join(append([]string{home, n.name()}, path...)...)
}

// containerd returns the path of the socket of the node's containerd.
func (n node) containerd() string { return n.file("containerd.sock") }

func kubeconfig() string { return filepath.Join(home, "kubeconfig") }

func logFile(name string) string { return filepath.Join(home, "logs", name+".log") }
