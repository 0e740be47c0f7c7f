package controlplane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// serviceRange is part of the range reserved for benchmarks, which does not collide with
	// private networks.
	serviceRange = "198.19.0.0/16"
	// firstService is the service address of the API server itself.
	firstService = "198.19.0.1"
)

// startAPIServer starts an API server that uses etcd, and waits until it is ready.
func (p *ControlPlane) startAPIServer(ctx context.Context, program, etcd string, port int, options []Option) error {
	s := settings{host: host, port: port, keys: p.KeyFile(""), apiserver: flags{}}
	for _, option := range options {
		option(&s)
	}
	if err := p.writeKeys(s.keys, s.host); err != nil {
		return fmt.Errorf("create keys: %w", err)
	}
	all := apiserverFlags(s.keys, etcd, s.host, s.port)
	maps.Copy(all, s.apiserver)
	var err error
	url := "https://" + net.JoinHostPort(s.host, strconv.Itoa(s.port))
	if p.config, err = p.userConfig(url, "administrator", "system:masters"); err != nil {
		return err
	}
	discover, err := discovery.NewDiscoveryClientForConfig(p.config)
	if err != nil {
		return err
	}
	p.apiserver, err = p.run(ctx, program, all, func(ctx context.Context) error { // includes etcd and the default roles
		_, err := discover.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
	if err != nil {
		return err
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	p.client, err = client.New(p.config, client.Options{Scheme: scheme})
	return err
}

func apiserverFlags(keys, etcd, host string, port int) flags {
	return flags{
		"etcd-servers":                     "http://" + etcd,
		"bind-address":                     host,
		"secure-port":                      strconv.Itoa(port),
		"client-ca-file":                   filepath.Join(keys, "ca.crt"),
		"tls-cert-file":                    filepath.Join(keys, "apiserver.crt"),
		"tls-private-key-file":             filepath.Join(keys, "apiserver.key"),
		"service-account-issuer":           "https://kubernetes.default.svc.cluster.local",
		"service-account-key-file":         filepath.Join(keys, "service-accounts.crt"),
		"service-account-signing-key-file": filepath.Join(keys, "service-accounts.key"),
		"service-cluster-ip-range":         serviceRange,
		"authorization-mode":               "Node,RBAC",
		// The API server need not publish its address, because nothing runs in the cluster.
		"advertise-address":        host,
		"endpoint-reconciler-type": "none",
		"profiling":                "false",
	}
}

// writeKeys writes the certificates and keys of an API server, and the CA certificate.
func (p *ControlPlane) writeKeys(dir, host string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), p.authority.certificate(), 0o600); err != nil {
		return err
	}
	serving, err := p.authority.issueServer(
		[]net.IP{net.ParseIP(host), net.ParseIP(firstService)},
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
	)
	if err != nil {
		return err
	}
	// Its key signs the tokens of service accounts. The subject does not matter.
	accounts, err := p.authority.issueClient("service-accounts")
	if err != nil {
		return err
	}
	return errors.Join(serving.write(dir, "apiserver"), accounts.write(dir, "service-accounts"), p.writeNodeKeys(dir))
}

// userConfig returns a client configuration of a user with the given groups.
func (p *ControlPlane) userConfig(url, user string, groups ...string) (*rest.Config, error) {
	pair, err := p.authority.issueClient(user, groups...)
	if err != nil {
		return nil, fmt.Errorf("create certificate of %s: %w", user, err)
	}
	return &rest.Config{
		Host:            url,
		TLSClientConfig: rest.TLSClientConfig{CAData: p.authority.certificate(), CertData: pair.certificate, KeyData: pair.key},
		QPS:             -1, // no rate limiting by the client
	}, nil
}
