// Package controlplane runs a real Kubernetes API server with etcd for tests, on free ports of
// 127.0.0.1. Nothing else of Kubernetes runs: no controller creates pods of deployments, creates
// the default service account of a namespace, or empties a deleted namespace. `make kubernetes`
// builds the programs once.
//
// Tests that do not stop the API server use one shared by the test binary, with
// CustomResourceDefinitions from a folder:
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
// Tests that stop the API server start one of their own with [Start]. The option [WithNodes] is for
// whole clusters, see test/cluster.
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

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/program"
)

// startTimeout bounds the start of etcd and the API server, which takes five seconds on two idle
// cores.
const startTimeout = 2 * time.Minute

// ControlPlane is an etcd and an API server in child processes, which end with this one. Stop must
// not be called concurrently with any other method.
type ControlPlane struct {
	dir       string
	authority *authority
	etcd      *program.Program // nil until it has started
	apiserver *program.Program
	config    *rest.Config
	client    client.Client
	users     atomic.Int64
}

// Option configures [Start].
type Option func(*settings)

type settings struct {
	host      string // address of the API server
	port      int
	keys      string // folder of its keys
	apiserver flags  // override the default flags
}

// WithFlag sets a flag of the API server, named without dashes.
func WithFlag(name, value string) Option {
	return func(s *settings) { s.apiserver[name] = value }
}

// Start starts etcd and an API server, and returns when the API server is ready. Their data, keys
// and logs (etcd.log and kube-apiserver.log) are in dir. If one does not start, the error contains
// the end of its log.
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
		return fmt.Errorf("find free ports: %w", err)
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("create folder of the control plane: %w", err)
	}
	if p.authority, err = newAuthority(); err != nil {
		return fmt.Errorf("create certificate authority: %w", err)
	}
	if err := p.startEtcd(ctx, programs.etcd, free[0], free[1]); err != nil {
		return err
	}
	return p.startAPIServer(ctx, programs.apiserver, address(free[0]), free[2], options)
}

// Config returns a client configuration of a cluster administrator, without client-side rate
// limiting.
func (p *ControlPlane) Config() *rest.Config { return rest.CopyConfig(p.config) }

// Stop stops both processes. Stopping a stopped control plane does nothing.
func (p *ControlPlane) Stop() error {
	if p.apiserver != nil {
		// It has no state of its own, and on SIGTERM it would wait up to a minute for open watches.
		p.apiserver.Kill()
	}
	if p.etcd == nil {
		return nil
	}
	return p.etcd.Stop()
}

// run starts a program, which writes to a log with its name, and waits until it is ready.
func (p *ControlPlane) run(ctx context.Context, path string, f flags, ready func(context.Context) error) (*program.Program, error) {
	name := filepath.Base(path)
	started := &program.Program{
		Name: name, LogFile: filepath.Join(p.dir, name+".log"), Ready: ready, AnyExit: true,
		Command: subprocess.Command{Path: path, Args: f.arguments(), Dir: p.dir},
	}
	return started, started.Start(ctx)
}

// host is the address on which everything listens.
const host = "127.0.0.1"

// address returns the address of a port, host:port.
func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
