//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/controlplane"
)

// readyTimeout bounds the start of the cluster, which takes half a minute on two idle cores.
const readyTimeout = 5 * time.Minute

// File descriptors that serve inherits from up: the lock, which is held until serve ends, and a
// pipe to report readiness.
const (
	lockDescriptor  = 3
	readyDescriptor = 4
)

// supervisor is the parent of all other processes of the cluster, which are killed when it ends.
type supervisor struct {
	plane    *controlplane.ControlPlane
	programs []*subprocess.Process
	registry *http.Server
	fail     context.CancelCauseFunc // stops the cluster with a cause
}

// serve runs the cluster until ctx is done or a program fails.
func serve(ctx context.Context) (err error) {
	for _, descriptor := range []int{lockDescriptor, readyDescriptor} {
		syscall.CloseOnExec(descriptor) // child processes must not inherit it
	}
	ready := os.NewFile(readyDescriptor, "ready")
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s := supervisor{fail: fail}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(running); err != nil {
		return errors.Join(context.Cause(running), err)
	}
	if _, err := ready.WriteString(readyWord); err != nil {
		return fmt.Errorf("report readiness: %w", err)
	}
	if err := ready.Close(); err != nil {
		return fmt.Errorf("report readiness: %w", err)
	}
	<-running.Done()
	if ctx.Err() != nil {
		return nil // stopped as requested
	}
	return context.Cause(running)
}

func (s *supervisor) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := makeBridge(ctx); err != nil {
		return fmt.Errorf("create the nodes' network: %w", err)
	}
	if err := s.startRegistry(ctx); err != nil {
		return err
	}
	if err := s.startControlPlane(ctx); err != nil {
		return err
	}
	if err := installAddons(ctx); err != nil {
		return err
	}
	for _, n := range nodes() {
		if err := s.startNode(ctx, n); err != nil {
			return fmt.Errorf("start %s: %w", n.name(), err)
		}
	}
	return awaitReady(ctx)
}

func (s *supervisor) startControlPlane(ctx context.Context) error {
	var err error
	s.plane, err = controlplane.Start(ctx, filepath.Join(home, "control-plane"), controlplane.WithNodes(hostAddress))
	if err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	if err := controlplane.WriteKubeconfig(kubeconfig(), s.plane.Config()); err != nil {
		return err
	}
	err = s.startController("kube-controller-manager", "system:kube-controller-manager",
		"--use-service-account-credentials", "--root-ca-file="+s.plane.KeyFile("ca.crt"),
		"--service-account-private-key-file="+s.plane.KeyFile("service-accounts.key"))
	if err != nil {
		return err
	}
	return s.startController("kube-scheduler", "system:kube-scheduler")
}

// startController starts a controller of the control plane.
func (s *supervisor) startController(program, user string, args ...string) error {
	path, err := controlplane.Program(program)
	if err != nil {
		return err
	}
	config, err := s.plane.User(user)
	if err != nil {
		return err
	}
	file := filepath.Join(home, program+".kubeconfig")
	if err := controlplane.WriteKubeconfig(file, config); err != nil {
		return err
	}
	// There is one of each, and nothing connects to it.
	p, err := startProgram(program, path, append(args, "--kubeconfig="+file, "--leader-elect=false", "--secure-port=0")...)
	if err != nil {
		return err
	}
	s.watch(program, p)
	return nil
}

func (s *supervisor) startNode(ctx context.Context, n node) error {
	if err := n.configure(s.plane); err != nil {
		return err
	}
	if err := n.makeGroups(); err != nil {
		return err
	}
	if err := n.connect(ctx); err != nil {
		return fmt.Errorf("connect to the network: %w", err)
	}
	p, err := n.start()
	if err != nil {
		return err
	}
	s.watch(n.name(), p)
	return nil
}

// watch adds a program. The cluster stops when it ends.
func (s *supervisor) watch(name string, p *subprocess.Process) {
	s.programs = append(s.programs, p)
	go func() {
		<-p.Done()
		s.fail(fmt.Errorf("%s ended: %w\n%s", name, p.Err(), subprocess.Tail(logFile(name), 4<<10)))
	}()
}

// stop kills all processes, because a test cluster keeps nothing.
func (s *supervisor) stop() error {
	for _, p := range s.programs {
		p.Kill()
	}
	var errs []error
	if s.registry != nil {
		errs = append(errs, s.registry.Close())
	}
	if s.plane != nil {
		errs = append(errs, s.plane.Stop())
	}
	return errors.Join(errs...)
}
