//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/cluster/policy"
	"merchstore.io/merchstore/test/controlplane"
)

// start runs this program again in a node's namespaces. Their first process is a shell, which reaps
// orphans. When it ends, or this process does, the kernel kills every process of the node; the
// node's mounts end with the last one.
func (n node) start() (*subprocess.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return startProgram(n.name(), "/usr/bin/nsenter", "--net="+n.namespace(), "/usr/bin/unshare",
		"--mount", "--pid", "--uts", "--fork", "--kill-child", "/bin/sh", "-c", `"$0" node "$1"; exit $?`, self, n.name())
}

// startProgram starts a program whose output goes to a log with its name.
func startProgram(name, path string, args ...string) (*subprocess.Process, error) {
	output, err := os.OpenFile(logFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer output.Close()
	return subprocess.Start(subprocess.Command{Path: path, Args: args, Dir: home, Output: output})
}

// runNode turns the namespaces that it runs in into a node. It returns when the node fails.
func runNode(ctx context.Context, name string) error {
	n, err := findNode(name)
	if err != nil {
		return err
	}
	if err := n.enterGroups(); err != nil {
		return err
	}
	if err := n.mount(); err != nil {
		return fmt.Errorf("mount file systems: %w", err)
	}
	if err := syscall.Sethostname([]byte(n.name())); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("enable IP forwarding: %w", err)
	}
	return n.runPrograms(ctx)
}

// mount mounts the node's own folders where programs have fixed paths. Without its own /proc, it
// would see the host's processes.
func (n node) mount() error {
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, folder := range []string{"/run", "/var/log"} {
		if err := syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("mount %s: %w", folder, err)
		}
	}
	// Kubelets set these, which are global. They get copies to write to.
	for _, setting := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	} {
		path, copied := filepath.Join("/proc/sys", setting), n.file("sysctl", setting)
		value, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := writeFile(copied, value); err != nil {
			return err
		}
		if err := syscall.Mount(copied, path, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount a copy of %s: %w", path, err)
		}
	}
	// Mounts such as volumes propagate to other processes, as on any node.
	return syscall.Mount("", "/", "", syscall.MS_SHARED|syscall.MS_REC, "")
}

// runPrograms runs the programs of a node until one of them ends.
func (n node) runPrograms(ctx context.Context) error {
	containerd, err := startProgram(n.name()+"-containerd", "containerd", "--config", n.file("containerd.toml"))
	if err != nil {
		return err
	}
	if err := awaitSocket(ctx, containerd, n.containerd()); err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	if err := n.load(ctx, ownImages()...); err != nil {
		return err
	}
	kubelet, err := n.startKubernetes("kubelet", "--config="+n.file("kubelet.yaml"), "--kubeconfig="+n.file("kubelet.kubeconfig"),
		"--root-dir="+n.file("kubelet"), "--node-ip="+n.address().String())
	if err != nil {
		return err
	}
	proxy, err := n.startKubernetes("kube-proxy", "--config="+n.file("kube-proxy.yaml"))
	if err != nil {
		return err
	}
	enforcing, err := n.enforcePolicies(ctx)
	if err != nil {
		return err
	}
	select {
	case err := <-enforcing:
		return fmt.Errorf("enforce network policies: %w", err)
	case <-containerd.Done():
		return fmt.Errorf("containerd ended: %w", containerd.Err())
	case <-kubelet.Done():
		return fmt.Errorf("kubelet ended: %w", kubelet.Err())
	case <-proxy.Done():
		return fmt.Errorf("kube-proxy ended: %w", proxy.Err())
	}
}

func (n node) startKubernetes(program string, args ...string) (*subprocess.Process, error) {
	path, err := controlplane.Program(program)
	if err != nil {
		return nil, err
	}
	return startProgram(n.name()+"-"+program, path, args...)
}

// enforcePolicies starts to enforce NetworkPolicies. The channel receives the error when that ends.
func (n node) enforcePolicies(ctx context.Context) (<-chan error, error) {
	config, err := clientcmd.BuildConfigFromFlags("", n.file("policy.kubeconfig"))
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	log.SetLogger(klog.NewKlogr())
	ended := make(chan error, 1)
	go func() {
		ended <- policy.Enforce(ctx, config, n.name(), func(ctx context.Context, rules string) error {
			return execute(ctx, strings.NewReader(rules), "nft", "--file", "-")
		})
	}()
	return ended, nil
}

// awaitSocket waits until a child process accepts connections on a Unix socket.
func awaitSocket(ctx context.Context, p *subprocess.Process, socket string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		connection, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err == nil {
			return connection.Close()
		}
		select {
		case <-p.Done():
			return fmt.Errorf("ended while starting: %w", errors.Join(p.Err(), err))
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}
