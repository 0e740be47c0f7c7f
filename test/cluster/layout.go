//go:build linux

package main

import (
	"fmt"
	"net"
	"path/filepath"
)

// Everything has one place or one prefix, so that all of it is found again whatever happened to the cluster that made it.
const (
	// home is where all files of the cluster are. There is one cluster on a machine: networks have their names only once.
	home = "/var/lib/merchstore-cluster"
	// bridge is the network device of the host that all nodes are plugged into.
	bridge = "mc0"
	// prefix begins the names of the nodes' network namespaces, their plugs in the bridge, and their control groups.
	prefix = "mc-"
)

// All addresses are within the range that is set aside for benchmarks, which collides with nobody's private network.
const (
	hostAddress  = "198.18.0.1"
	nodeRange    = "198.18.0.0/24"
	podRange     = "198.18.64.0/18"
	serviceRange = "198.19.0.0/16"
	dnsAddress   = "198.19.0.10"
)

// workers is how many nodes there are besides the host, which runs the control plane.
const workers = 3

// node is a worker: namespaces of its own with a containerd, a kubelet and a kube-proxy.
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
	return node{}, fmt.Errorf("there is no node %q", name)
}

func (n node) name() string { return fmt.Sprintf("worker-%d", n.number) }

// device is the name of its network namespace, its plug in the bridge and its control groups.
func (n node) device() string { return prefix + n.name() }

func (n node) namespace() string { return filepath.Join("/run/netns", n.device()) }

func (n node) address() net.IP { return net.IPv4(198, 18, 0, byte(10+n.number)) }

// pods is the range of its pods' addresses.
func (n node) pods() string { return fmt.Sprintf("198.18.%d.0/24", 64+n.number) }

// file is where one of its files is.
func (n node) file(path ...string) string {
	return filepath.Join(append([]string{home, n.name()}, path...)...)
}

// containerd is the socket that its containerd listens on.
func (n node) containerd() string { return n.file("containerd.sock") }

func kubeconfig() string { return filepath.Join(home, "kubeconfig") }

func logFile(name string) string { return filepath.Join(home, "logs", name+".log") }
