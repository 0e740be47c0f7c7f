//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/controlplane"
)

// readyWord is what serve writes to its pipe when the cluster is ready.
const readyWord = "ready"

// up starts the cluster and returns when it is ready. A cluster that runs is left as it is.
func up(ctx context.Context, out io.Writer) error {
	began := time.Now()
	held, err := lock()
	if errors.Is(err, errRuns) {
		if err := acceptForwarded(ctx); err != nil { // Docker may have been started since
			return err
		}
		if err := awaitReady(ctx); err != nil {
			return fmt.Errorf("the cluster runs, but is not ready: %w", err)
		}
		return explain(out, "It runs already.")
	}
	if err != nil {
		return err
	}
	defer held.Close() // the supervisor inherits it and keeps the lock
	if err := clean(ctx); err != nil {
		return fmt.Errorf("remove what an earlier cluster left: %w", err)
	}
	if err := makeImages(); err != nil {
		return err
	}
	if err := startSupervisor(ctx, held); err != nil {
		return err
	}
	return explain(out, fmt.Sprintf("It took %s.", time.Since(began).Round(time.Second)))
}

// startSupervisor starts `cluster serve`, detached from the terminal, and returns when the cluster is
// ready.
func startSupervisor(ctx context.Context, held *os.File) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	const name = "supervisor"
	if err := writeFile(logFile(name), nil); err != nil {
		return err
	}
	log, err := os.OpenFile(logFile(name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer log.Close()
	said, says, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer said.Close()

	cmd := exec.Command(self, "serve") //nolint:noctx // outlives this process
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{held, says} // lockDescriptor and readyDescriptor
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Close our write end, so that reading ends when the supervisor exits.
	if err := errors.Join(cmd.Start(), says.Close()); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	if _, err := fmt.Fprintln(held, cmd.Process.Pid); err != nil {
		return fmt.Errorf("record the supervisor's process id: %w", err)
	}
	// If this process is interrupted, so is the supervisor.
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	word, err := io.ReadAll(said)
	if err != nil {
		return fmt.Errorf("wait for the supervisor: %w", err)
	}
	if string(word) != readyWord {
		return fmt.Errorf("the supervisor did not start: %w\n%s", errors.Join(cmd.Wait(), ctx.Err()), subprocess.Tail(logFile(name), 8<<10))
	}
	return cmd.Process.Release()
}

// explain prints how to use the cluster.
func explain(out io.Writer, first string) error {
	program, err := controlplane.Program("kubectl")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	_, err = fmt.Fprintf(out, `The cluster is ready: a control plane on this machine and %d workers. %s

  export KUBECONFIG=%s PATH=%s:$PATH
  kubectl get nodes
  %s load IMAGE.tar ...   # loads images into all nodes; or push them to %s, without TLS
  make cluster-down

Its logs are in %s.
`, workers, first, kubeconfig(), filepath.Dir(program), self, registryAddress, filepath.Dir(logFile("any")))
	return err
}
