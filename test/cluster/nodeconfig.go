//go:build linux

package main

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"k8s.io/client-go/rest"

	"merchstore.io/merchstore/test/controlplane"
)

//go:embed files
var files embed.FS

// nodeFiles are the settings of a node's programs, and where they go in the node's folder.
var nodeFiles = map[string]string{
	"kubelet.yaml":    "kubelet.yaml",
	"kube-proxy.yaml": "kube-proxy.yaml",
	"containerd.toml": "containerd.toml",
	"cni.conflist":    "cni/pods.conflist",
	"hosts.toml":      "registries/" + registryAddress + "/hosts.toml",
}

// settings is what the templates in files speak of.
type settings struct {
	node node

	Address, Device, Pods, Socket  string
	DNS, PodRange, Pause, Registry string
}

// File is where one of the node's files is.
func (s settings) File(path string) string { return s.node.file(path) }

// configure writes all that the node's programs read: settings, keys and who they are to the API server.
func (n node) configure(plane *controlplane.ControlPlane) error {
	s := settings{
		node: n, Address: n.address().String(), Device: n.device(), Pods: n.pods(), Socket: n.containerd(),
		DNS: dnsAddress, PodRange: podRange, Pause: pauseImage, Registry: registryAddress,
	}
	for from, to := range nodeFiles {
		text, err := render(from, s)
		if err != nil {
			return err
		}
		if err := writeFile(n.file(to), text); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(n.file("keys"), 0o700); err != nil {
		return fmt.Errorf("make the folder of its keys: %w", err)
	}
	if err := plane.IssueServer(n.file("keys"), n.name(), n.address()); err != nil {
		return fmt.Errorf("make its keys: %w", err)
	}
	users := map[string]func() (*rest.Config, error){
		"kubelet":    func() (*rest.Config, error) { return plane.User("system:node:"+n.name(), "system:nodes") },
		"kube-proxy": func() (*rest.Config, error) { return plane.User("system:kube-proxy") },
		"policy":     func() (*rest.Config, error) { return plane.User("network-policies") },
	}
	for program, user := range users {
		if err := writeKubeconfig(n.file(program+".kubeconfig"), user); err != nil {
			return err
		}
	}
	return nil
}

func writeKubeconfig(path string, user func() (*rest.Config, error)) error {
	config, err := user()
	if err != nil {
		return err
	}
	return controlplane.WriteKubeconfig(path, config)
}

// render fills a template in.
func render(name string, data any) ([]byte, error) {
	t, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return nil, fmt.Errorf("read a template: %w", err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return nil, fmt.Errorf("fill a template in: %w", err)
	}
	return text.Bytes(), nil
}

// writeFile writes a file that only root can read, and the folder that it is in.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	return os.WriteFile(path, content, 0o600)
}
