package controlplane

import (
	"errors"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
)

// WithNodes makes the API server one for a cluster: it listens on an address of this machine that the nodes reach, tells pods of
// it, shows kubelets who it is and looks who they are, and takes other API servers in, such as one for metrics.
func WithNodes(address string) Option {
	return func(s *settings) {
		s.host, s.port = address, clusterPort
		key := func(name string) string { return filepath.Join(s.keys, name) }
		for name, value := range (flags{
			"endpoint-reconciler-type":           "lease",
			"kubelet-preferred-address-types":    "InternalIP", // nobody knows nodes by their names
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
			// Webhooks and other API servers are asked at their pods: this machine is no node, and knows no service addresses.
			"enable-aggregator-routing": "true",
		}) {
			s.apiserver[name] = value
		}
	}
}

// clusterPort is where the API servers of clusters listen, and what NetworkPolicies let pass.
const clusterPort = 6443

// frontProxy is who the API server is to other API servers, which believe it alone when it says for whom it asks.
const frontProxy = "front-proxy"

// writeNodeKeys writes the certificates by which the API server is known to kubelets and to other API servers.
func (p *ControlPlane) writeNodeKeys(dir string) error {
	kubelets, err := p.authority.issueClient("kubelet-client", "system:masters")
	if err != nil {
		return err
	}
	others, err := p.authority.issueClient(frontProxy)
	if err != nil {
		return err
	}
	return errors.Join(kubelets.write(dir, "kubelet-client"), others.write(dir, frontProxy))
}

// User is how a user with these groups gets at the API server. What the user may do, roles say.
func (p *ControlPlane) User(name string, groups ...string) (*rest.Config, error) {
	return p.userConfig(p.config.Host, name, groups...)
}

// IssueServer writes the certificate and key of a server that is reached by a name and an address, as server.crt and server.key,
// and the certificate of the authority, which clients have to believe, as ca.crt.
func (p *ControlPlane) IssueServer(dir, name string, address net.IP) error {
	pair, err := p.authority.issueServer([]net.IP{address}, []string{name})
	if err != nil {
		return err
	}
	return errors.Join(pair.write(dir, "server"), os.WriteFile(filepath.Join(dir, "ca.crt"), p.authority.certificate(), 0o600))
}

// KeyFile is where one of the API server's own certificates or keys is, for instance ca.crt or service-accounts.key.
func (p *ControlPlane) KeyFile(name string) string { return filepath.Join(p.dir, "keys", name) }
