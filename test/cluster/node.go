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

// start runs this program again in a node's namespaces. The first process in them is a shell, which buries what others leave:
// when it ends, or we do, the kernel ends every process of the node, and with the last one all that was mounted in it is gone.
func (n node) start() (*subprocess.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return startProgram(n.name(), "/usr/bin/nsenter", "--net="+n.namespace(), "/usr/bin/unshare",
		"--mount", "--pid", "--uts", "--fork", "--kill-child", "/bin/sh", "-c", `"$0" node "$1"; exit $?`, self, n.name())
}

// startProgram starts a program that says what it has to say into a log named after it.
func startProgram(name, path string, args ...string) (*subprocess.Process, error) {
	output, err := os.OpenFile(logFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer output.Close()
	return subprocess.Start(subprocess.Command{Path: path, Args: args, Dir: home, Output: output})
}

// beNode makes the namespaces that it is started in a node. It returns when the node can't go on.
func beNode(ctx context.Context, name string) error {
	n, err := findNode(name)
	if err != nil {
		return err
	}
	if err := n.enterGroups(); err != nil {
		return err
	}
	if err := n.mount(); err != nil {
		return fmt.Errorf("mount what is its own: %w", err)
	}
	if err := syscall.Sethostname([]byte(n.name())); err != nil {
		return fmt.Errorf("set its name: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("let it pass on what is for its pods: %w", err)
	}
	return n.runPrograms(ctx)
}

// mount gives the node folders of its own where programs insist on paths. Without a /proc of its own, it would see the host's
// processes.
func (n node) mount() error {
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, folder := range []string{"/run", "/var/log"} {
		if err := syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("mount %s: %w", folder, err)
		}
	}
	// Kubelets set these, which are the whole machine's. They get copies to write to.
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
			return fmt.Errorf("put a copy in place of %s: %w", path, err)
		}
	}
	// As on any node: what is mounted in one process, a volume for instance, is there for others.
	return syscall.Mount("", "/", "", syscall.MS_SHARED|syscall.MS_REC, "")
}

// runPrograms runs what makes a machine a node, until one of its programs ends.
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

// enforcePolicies begins to enforce NetworkPolicies, and tells when that has ended.
func (n node) enforcePolicies(ctx context.Context) (<-chan error, error) {
	config, err := clientcmd.BuildConfigFromFlags("", n.file("policy.kubeconfig"))
	if err != nil {
		return nil, fmt.Errorf("read how to get at the API server: %w", err)
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

// awaitSocket returns when a child takes connections on a Unix socket.
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
			return fmt.Errorf("it ended while it started: %w", errors.Join(p.Err(), err))
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}
