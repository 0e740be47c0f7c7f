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

// readyTimeout is what the cluster may take until all its nodes are ready; half a minute is usual on two idle cores.
const readyTimeout = 5 * time.Minute

// What serve inherits from up: the lock, which is held as long as it lives, and the pipe that it says into that it is ready.
const (
	lockDescriptor  = 3
	readyDescriptor = 4
)

// supervisor is the process that all others of the cluster are children of, and die with.
type supervisor struct {
	plane    *controlplane.ControlPlane
	programs []*subprocess.Process
	registry *http.Server
	fail     context.CancelCauseFunc // ends it all, for a reason
}

// serve runs the cluster until it is told to end, or can't go on.
func serve(ctx context.Context) (err error) {
	for _, descriptor := range []int{lockDescriptor, readyDescriptor} {
		syscall.CloseOnExec(descriptor) // none of our children is to keep it
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
		return fmt.Errorf("say that it is ready: %w", err)
	}
	if err := ready.Close(); err != nil {
		return fmt.Errorf("say that it is ready: %w", err)
	}
	<-running.Done()
	if ctx.Err() != nil {
		return nil // as it was told to
	}
	return context.Cause(running)
}

func (s *supervisor) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := makeBridge(ctx); err != nil {
		return fmt.Errorf("make the nodes' network: %w", err)
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

// startController starts one of the control plane's clients.
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
	// There is one of each, and nobody asks it anything.
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
		return fmt.Errorf("connect it to the others: %w", err)
	}
	p, err := n.start()
	if err != nil {
		return err
	}
	s.watch(n.name(), p)
	return nil
}

// watch remembers a program: when it ends, so does the cluster.
func (s *supervisor) watch(name string, p *subprocess.Process) {
	s.programs = append(s.programs, p)
	go func() {
		<-p.Done()
		s.fail(fmt.Errorf("%s ended: %w\n%s", name, p.Err(), subprocess.Tail(logFile(name), 4<<10)))
	}()
}

// stop ends everything at once: of a test cluster nothing is kept.
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
