package controlplane

import (
	"errors"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
)

// WithNodes configures the API server for a cluster: it listens on an address of this machine that
// nodes can reach, publishes it to pods, authenticates to kubelets, verifies their certificates,
// and aggregates other API servers.
func WithNodes(address string) Option {
	return func(s *settings) {
		s.host, s.port = address, clusterPort
		key := func(name string) string { return filepath.Join(s.keys, name) }
		for name, value := range (flags{
			"endpoint-reconciler-type":           "lease",
			"kubelet-preferred-address-types":    "InternalIP", // node names do not resolve
			"kubelet-certificate-authority":      key("ca.crt"),
			"kubelet-client-certificate":         key("kubelet-client.crt"),
			"kubelet-client-key":                 key("kubelet-client.key"),
			"requestheader-client-ca-file":       key("ca.crt"),
			"requestheader-allowed-names":        frontProxy,
			"requestheader-username-headers":     "X-Remote-User",
			"requestheader-group-headers":        "X-Remote-Group",
			"requestheader-extra-headers-prefix": "X-Remote-Extra-",
			"proxy-client-cert-file":             key("front-proxy.crt"),
			"proxy-client-key-file":              key("front-proxy.key"),
			// Call webhooks and other API servers at their pods, because this machine is no node
			// and has no service routes.
			"enable-aggregator-routing": "true",
		}) {
			s.apiserver[name] = value
		}
	}
}

// clusterPort is the port of the API servers of clusters, which NetworkPolicies allow.
const clusterPort = 6443

// frontProxy is the name under which the API server authenticates to aggregated API servers.
const frontProxy = "front-proxy"

// writeNodeKeys writes the client certificates for kubelets and aggregated API servers.
func (p *ControlPlane) writeNodeKeys(dir string) error {
	kubelets, err := p.authority.issueClient("kubelet-client", "system:masters")
	if err != nil {
		return err
	}
	proxy, err := p.authority.issueClient(frontProxy)
	if err != nil {
		return err
	}
	return errors.Join(kubelets.write(dir, "kubelet-client"), proxy.write(dir, frontProxy))
}

// User returns a client configuration of a user with the given groups.
func (p *ControlPlane) User(name string, groups ...string) (*rest.Config, error) {
	return p.userConfig(p.config.Host, name, groups...)
}

// IssueServer writes a server certificate and key for a name and an address, as server.crt and
// server.key, and the CA certificate as ca.crt.
func (p *ControlPlane) IssueServer(dir, name string, address net.IP) error {
	pair, err := p.authority.issueServer([]net.IP{address}, []string{name})
	if err != nil {
		return err
	}
	return errors.Join(pair.write(dir, "server"), os.WriteFile(filepath.Join(dir, "ca.crt"), p.authority.certificate(), 0o600))
}

// KeyFile returns the path of a certificate or key of the API server, for instance ca.crt or
// service-accounts.key.
func (p *ControlPlane) KeyFile(name string) string { return filepath.Join(p.dir, "keys", name) }
