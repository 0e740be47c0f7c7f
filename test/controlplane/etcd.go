package controlplane

import (
	"context"
	"path/filepath"

	"merchstore.io/merchstore/internal/subprocess"
)

// startEtcd starts a cluster of one member and waits until it is ready.
func (p *ControlPlane) startEtcd(ctx context.Context, program string, port, peerPort int) error {
	const name = "test"
	url, peerURL := "http://"+address(port), "http://"+address(peerPort)
	var err error
	p.etcd, err = p.run(ctx, program, flags{
		"name":                        name,
		"data-dir":                    filepath.Join(p.dir, "etcd"),
		"listen-client-urls":          url,
		"advertise-client-urls":       url,
		"listen-peer-urls":            peerURL,
		"initial-advertise-peer-urls": peerURL,
		"initial-cluster":             name + "=" + peerURL,
		"log-level":                   "warn",
		"unsafe-no-fsync":             "true", // no test simulates a power failure
	}, subprocess.Responds(url+"/readyz"))
	return err
}
