package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// exitTimeout is how long kubectl may take to exit after an interrupt.
const exitTimeout = 5 * time.Second

// kubectl runs kubectl in one context, regardless of the current one, and in the store's namespace.
type kubectl struct {
	Settings

	program string
	log     logf
}

// newKubectl checks that the program, the cluster and the namespace exist, and logs which cluster
// it is.
func newKubectl(ctx context.Context, s Settings, log logf) (kubectl, error) {
	if s.Context == "" {
		return kubectl{}, errors.New("FAULT_CONTEXT is required: `kubectl config get-contexts --output=name` lists the contexts, " +
			"and `kubectl config current-context` is the current one")
	}
	program, err := exec.LookPath(s.Kubectl)
	if err != nil {
		return kubectl{}, fmt.Errorf("find kubectl, which faults need (KUBECTL sets its path): %w", err)
	}
	k := kubectl{Settings: s, program: program, log: log}
	server, err := k.run(ctx, "config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
	if err != nil {
		return kubectl{}, fmt.Errorf("find the cluster (`kubectl config get-contexts --output=name` lists the contexts): %w", err)
	}
	log("using the cluster of context %s, at %s", s.Context, server)
	if _, err := k.run(ctx, "get", "namespace", s.Namespace, "--output=name"); err != nil {
		return kubectl{}, fmt.Errorf("find the store's namespace: %w", err)
	}
	return k, nil
}

// run runs kubectl and returns its output. It has its own process group: a Ctrl-C in the terminal
// must reach only this process, which still needs kubectl to recover.
func (k kubectl) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, k.program, append([]string{"--context=" + k.Context, "--namespace=" + k.Namespace}, args...)...) //nolint:gosec // the user chooses the program
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = exitTimeout
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// selector returns the option that selects the objects of a component.
func (k kubectl) selector(component string) string {
	return "--selector=app.kubernetes.io/instance=" + k.Release + ",app.kubernetes.io/name=" + component
}

// find returns the workload of a component as type/name, or "" if the release has none.
func (k kubectl) find(ctx context.Context, component string) (workload string, err error) {
	out, err := k.run(ctx, "get", "deployments,statefulsets", k.selector(component), "--output=name")
	if err != nil {
		return "", err
	}
	workload, more, _ := strings.Cut(out, "\n")
	if more != "" {
		return "", fmt.Errorf("release %s has more than one workload of %s: %q", k.Release, component, out)
	}
	return workload, nil
}

// awaitReady waits until all pods of a component are ready.
func (k kubectl) awaitReady(ctx context.Context, component string) error {
	workload, err := k.find(ctx, component)
	if err != nil {
		return err
	}
	if workload == "" {
		return fmt.Errorf("release %s no longer has a %s", k.Release, component)
	}
	_, err = k.run(ctx, "rollout", "status", workload, "--timeout="+recoverTimeout.String())
	return err
}
