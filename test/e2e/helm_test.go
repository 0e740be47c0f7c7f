//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const chart = "../../charts/merchstore"

// helm runs helm in the store's namespace and returns its output.
func (c cluster) helm(args ...string) string {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), "helm", append([]string{"--namespace", namespace}, args...)...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("helm %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// reinstall uninstalls the store and installs it again. Volumes and their Secrets are kept, so all
// data is the same.
func reinstall(t *testing.T, s *traffic) {
	c := cluster{t: t}
	values := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte(c.helm("get", "values", "store", "--output=yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	c.helm("uninstall", "store", "--wait", "--cascade=foreground", "--timeout="+limit.String())
	if left := c.kubectl("get", "pods", "--output=name", "--selector=app.kubernetes.io/instance=store"); left != "" {
		t.Errorf("pods remain: %s", left)
	}
	c.helm("install", "store", chart, "--values="+values, "--wait", "--timeout="+limit.String())
	c.settle()
	for _, b := range s.buyers { // the keys of tokens are generated anew
		var answer struct{ Token string }
		s.insist(b, http.MethodPost, "/api/v1/users/login", fmt.Sprintf(`{"username":%q,"password":%q}`, b.name, password), "", http.StatusOK, &answer)
		b.token = answer.Token
	}
	s.checkOrders(t)
}
