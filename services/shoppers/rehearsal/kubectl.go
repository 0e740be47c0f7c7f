package rehearsal

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

// endLimit is how long kubectl has to end after it was interrupted.
const endLimit = 5 * time.Second

// kubectl reaches the cluster of one context, whatever the current one is, in the store's namespace.
type kubectl struct{ program, context, namespace, release string }

// newKubectl makes sure that there is a program, and a namespace to work in, and says which cluster that is.
func newKubectl(ctx context.Context, s Settings, say sayer) (kubectl, error) {
	if s.Context == "" {
		return kubectl{}, errors.New("FAULT_CONTEXT must say which cluster is meant: `kubectl config get-contexts --output=name` lists the contexts, " +
			"and `kubectl config current-context` is the one in use")
	}
	program, err := exec.LookPath(s.Kubectl)
	if err != nil {
		return kubectl{}, fmt.Errorf("faults are caused with kubectl, which is not here: install it, or say with KUBECTL where it is: %w", err)
	}
	k := kubectl{program: program, context: s.Context, namespace: s.Namespace, release: s.Release}
	server, err := k.run(ctx, "config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
	if err != nil {
		return kubectl{}, fmt.Errorf("look for the cluster (`kubectl config get-contexts --output=name` lists the contexts): %w", err)
	}
	say("the cluster is that of the context %s, at %s", s.Context, server)
	if _, err := k.run(ctx, "get", "namespace", s.Namespace, "--output=name"); err != nil {
		return kubectl{}, fmt.Errorf("look for the store: %w", err)
	}
	return k, nil
}

// run returns what kubectl says. It is a process group of its own, as a Ctrl-C in the terminal is for us to hear, who then mend.
func (k kubectl) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, k.program, append([]string{"--context=" + k.context, "--namespace=" + k.namespace}, args...)...) //nolint:gosec // what runs is the caller's choice
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = endLimit
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaints.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// selector finds what belongs to a component of the store.
func (k kubectl) selector(component string) string {
	return "--selector=app.kubernetes.io/instance=" + k.release + ",app.kubernetes.io/name=" + component
}

// find gives the workload of a component of the store, as type/name, or nothing if the release has none.
func (k kubectl) find(ctx context.Context, component string) (workload string, err error) {
	found, err := k.run(ctx, "get", "deployments,statefulsets", k.selector(component), "--output=name")
	if err != nil {
		return "", err
	}
	workload, more, _ := strings.Cut(found, "\n")
	if more != "" {
		return "", fmt.Errorf("there is not one workload %s of the release %s but: %q", component, k.release, found)
	}
	return workload, nil
}

// awaitWhole returns when all pods of a component are there and ready.
func (k kubectl) awaitWhole(ctx context.Context, component string) error {
	workload, err := k.find(ctx, component)
	if err != nil {
		return err
	}
	if workload == "" {
		return fmt.Errorf("the release %s has no %s any more", k.release, component)
	}
	_, err = k.run(ctx, "rollout", "status", workload, "--timeout="+mendLimit.String())
	return err
}
