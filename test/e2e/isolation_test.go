//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// isolation checks network policies and the pod security standard.
func isolation(t *testing.T) {
	c := cluster{t: t}
	image := c.kubectl("get", "pod", "store-postgresql-0", "--template={{(index .spec.containers 0).image}}")
	t.Run("only clients reach PostgreSQL", func(t *testing.T) {
		c := cluster{t: t}
		const ask = "pg_isready --host store-postgresql --timeout 3"
		if output, err := c.run(image, "merchstore.io/postgresql-client=true", ask); err != nil {
			t.Errorf("a pod with the label of a client does not reach PostgreSQL: %v %s", err, output)
		}
		if output, err := c.run(image, "merchstore.io/postgresql-client=false", ask); err == nil {
			t.Errorf("a pod without the label of a client reaches PostgreSQL: %s", output)
		}
	})
	t.Run("a pod that violates the restricted standard is rejected", func(t *testing.T) {
		c := cluster{t: t}
		_, err := c.try("run", "rootful", "--image="+image, "--restart=Never", "--dry-run=server", "--command", "--", "true")
		if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
			t.Errorf("a pod that may run as root is not rejected: %v", err)
		}
	})
}

// run runs a command in a new pod with the given label, which NetworkPolicies may select, and
// returns its output.
func (c cluster) run(image, label, command string) (string, error) {
	c.t.Helper()
	const name = "command"
	remove := func() {
		if err := exec.CommandContext(context.Background(), "kubectl", "--namespace", namespace, "delete", "pod", name, "--ignore-not-found").Run(); err != nil {
			c.t.Errorf("remove pod %s: %v", name, err)
		}
	}
	defer remove()
	c.kubectl("run", name, "--image="+image, "--restart=Never", "--labels="+label, fmt.Sprintf(`--overrides={"spec":{
		"automountServiceAccountToken":false,
		"securityContext":{"runAsNonRoot":true,"runAsUser":999,"seccompProfile":{"type":"RuntimeDefault"}},
		"containers":[{"name":%q,"image":%q,"command":["/bin/sh","-c",%q],
			"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`, name, image, command))
	var phase string
	c.eventually("the command ends", func() bool {
		phase = c.kubectl("get", "pod", name, "--template={{.status.phase}}")
		return phase == "Succeeded" || phase == "Failed"
	})
	output := c.kubectl("logs", name)
	if phase == "Failed" {
		return output, fmt.Errorf("the command in pod %s failed: %s", name, output)
	}
	return output, nil
}
