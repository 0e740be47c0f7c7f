// Package controlplane runs a real Kubernetes API server with its etcd for tests, on free ports of 127.0.0.1. Nothing else of
// Kubernetes runs: no controller makes pods of deployments, gives namespaces their default service account or deletes what is in
// a namespace that is deleted. The programs are built once, by `make kubernetes`.
//
// A test binary asks for it in TestMain, and says which kinds of objects the API server shall know besides Kubernetes' own:
//
//	func TestMain(m *testing.M) { os.Exit(controlplane.With(m, "../k8s/operator/crds").Run()) }
//
//	func TestReconcile(t *testing.T) {
//		plane := controlplane.Shared(t)
//		namespace := plane.Namespace(t)
//		limited := plane.Grant(t, namespace, "../k8s/operator/role.yaml")
//		…
//	}
//
// A test that takes the API server away starts one of its own with [Start]. A whole cluster is made of one that is started
// [WithNodes]; see test/cluster.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"merchstore.io/merchstore/internal/child"
	"merchstore.io/merchstore/test/ports"
)

const (
	// startTimeout is what etcd and the API server may take until they are ready; five seconds are usual on two idle cores.
	startTimeout = 2 * time.Minute
	// stopTimeout is what etcd may take to end in an orderly way; a tenth of a second is usual.
	stopTimeout = 30 * time.Second
)

// ControlPlane is an etcd and an API server in child processes, which die with this one. Start and Stop apart, its methods may be
// called at the same time.
type ControlPlane struct {
	dir       string
	authority *authority
	etcd      *child.Process
	apiserver *child.Process
	config    *rest.Config
	client    client.Client
	users     atomic.Int64
}

// Option changes how [Start] sets a control plane up.
type Option func(*settings)

type settings struct {
	host      string // where the API server listens
	port      int
	keys      string // the folder of its keys
	apiserver flags  // besides, or instead of, the usual ones
}

// WithFlag sets a flag of the API server, named without its dashes, or replaces what it is set to otherwise.
func WithFlag(name, value string) Option {
	return func(s *settings) { s.apiserver[name] = value }
}

// Start starts etcd and an API server with all they keep in dir: data, keys and certificates, and what they say, in etcd.log and
// kube-apiserver.log. It returns when the API server is ready; when the start fails, the end of the log is part of the error.
func Start(ctx context.Context, dir string, options ...Option) (*ControlPlane, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p := &ControlPlane{dir: dir}
	if err := p.start(ctx, options); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *ControlPlane) start(ctx context.Context, options []Option) error {
	programs, err := findPrograms()
	if err != nil {
		return err
	}
	free, err := ports.Free(ctx, 3)
	if err != nil {
		return fmt.Errorf("look for free ports: %w", err)
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("make the control plane's folder: %w", err)
	}
	if p.authority, err = newAuthority(); err != nil {
		return fmt.Errorf("make the certificate authority: %w", err)
	}
	if err := p.startEtcd(ctx, programs.etcd, free[0], free[1]); err != nil {
		return fmt.Errorf("start etcd: %w\n%s", err, p.logTail("etcd"))
	}
	if err := p.startAPIServer(ctx, programs.apiserver, address(free[0]), free[2], options); err != nil {
		return fmt.Errorf("start the API server: %w\n%s", err, p.logTail("kube-apiserver"))
	}
	return nil
}

// Config is how an administrator of the cluster gets at the API server: with every right, and with no limit in the client.
func (p *ControlPlane) Config() *rest.Config { return rest.CopyConfig(p.config) }

// Stop ends both and waits until they have. Stopping a stopped control plane does nothing.
func (p *ControlPlane) Stop() error {
	if p.apiserver != nil {
		// All it knows is in etcd, and asked nicely it waits up to a minute for clients that still watch something.
		p.apiserver.Kill()
	}
	if p.etcd == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := p.etcd.Stop(ctx); err != nil {
		return fmt.Errorf("stop etcd: %w", err)
	}
	return nil
}

// run starts a program that says what it has to say into a log named after it.
func (p *ControlPlane) run(program string, f flags) (*child.Process, error) {
	log, err := os.OpenFile(p.logFile(filepath.Base(program)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open its log: %w", err)
	}
	defer log.Close()
	return child.Start(child.Command{Path: program, Args: f.arguments(), Dir: p.dir, Output: log})
}

func (p *ControlPlane) logFile(program string) string { return filepath.Join(p.dir, program+".log") }

// logTail is the last part of a program's log.
func (p *ControlPlane) logTail(program string) string { return child.Tail(p.logFile(program), 8<<10) }

// host is where everything listens: reachable for nobody else.
const host = "127.0.0.1"

// address is where a port of ours is found, host:port.
func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
