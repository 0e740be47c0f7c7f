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

// nodeFiles are the configuration files of a node's programs, by template, with their paths in the
// node's folder.
var nodeFiles = map[string]string{
	"kubelet.yaml":    "kubelet.yaml",
	"kube-proxy.yaml": "kube-proxy.yaml",
	"containerd.toml": "containerd.toml",
	"cni.conflist":    "cni/pods.conflist",
	"hosts.toml":      "registries/" + registryAddress + "/hosts.toml",
}

// settings is the data of the templates in files.
type settings struct {
	node node

	Address, Device, Pods, Socket  string
	DNS, PodRange, Pause, Registry string
}

// File returns the path of one of the node's files.
func (s settings) File(path string) string { return s.node.file(path) }

// configure writes the configuration, keys and kubeconfigs of the node's programs.
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
		return fmt.Errorf("create folder of keys: %w", err)
	}
	if err := plane.IssueServer(n.file("keys"), n.name(), n.address()); err != nil {
		return fmt.Errorf("create keys: %w", err)
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

// render executes a template.
func render(name string, data any) ([]byte, error) {
	t, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return nil, fmt.Errorf("parse template: %w", err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return nil, fmt.Errorf("execute template: %w", err)
	}
	return text.Bytes(), nil
}

// writeFile writes a file that only root can read, and creates its folder.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	return os.WriteFile(path, content, 0o600)
}
