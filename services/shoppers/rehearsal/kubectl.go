package rehearsal

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// endLimit is how long kubectl has to end after it was interrupted.
const endLimit = 5 * time.Second

// kubectl reaches the cluster of the current context, or of KUBECONFIG, in the store's namespace.
type kubectl struct{ program, namespace, release string }

// newKubectl makes sure that there is a program, and a namespace to work in.
func newKubectl(ctx context.Context, s Settings) (kubectl, error) {
	program, err := exec.LookPath(s.Kubectl)
	if err != nil {
		return kubectl{}, fmt.Errorf("faults are caused with kubectl, which is not here: install it, or say with KUBECTL where it is: %w", err)
	}
	k := kubectl{program: program, namespace: s.Namespace, release: s.Release}
	if _, err := k.run(ctx, "get", "namespace", s.Namespace, "--output=name"); err != nil {
		return kubectl{}, fmt.Errorf("look for the store: %w", err)
	}
	return k, nil
}

// run returns what kubectl says. It is a process group of its own, as a Ctrl-C in the terminal is for us to hear, who then mend.
func (k kubectl) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, k.program, append([]string{"--namespace=" + k.namespace}, args...)...) //nolint:gosec // what runs is the caller's choice
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

// awaitWhole returns when all pods of a component are there and ready.
func (k kubectl) awaitWhole(ctx context.Context, component string) error {
	found, err := k.run(ctx, "get", "deployments,statefulsets", k.selector(component), "--output=name")
	if err != nil {
		return err
	}
	workload, more, _ := strings.Cut(found, "\n")
	if workload == "" || more != "" {
		return fmt.Errorf("there is not one workload %s of the release %s but: %q", component, k.release, found)
	}
	_, err = k.run(ctx, "rollout", "status", workload, "--timeout="+mendLimit.String())
	return err
}
