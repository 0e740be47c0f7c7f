package store

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSchemathesis generates requests from the OpenAPI document, valid and invalid ones, and checks that the responses are as it
// says. The seed makes them the same ones each time.
func TestSchemathesis(t *testing.T) {
	t.Parallel()
	config, err := filepath.Abs("../openapi/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	for name, exclude := range map[string][]string{
		"customer": nil,
		"admin":    {"--exclude-operation-id", "tailLogs"}, // whose response to an admin has no end
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.signUp("admin-sid", "admin")
			s.signUp("customer-sid", "customer")
			arguments := append([]string{
				"--config-file", config, "run", s.URL + "/openapi.yaml", "--header", "Authorization: Bearer " + s.login(name),
				"--checks", "all", "--seed", "1", "--max-examples", "10", "--generation-database", "none",
				// It cannot generate texts from patterns with Unicode's categories. The tests of the DB service have such texts.
				"--generation-codec", "ascii",
				"--suppress-health-check", "all", "--request-timeout", "30", "--no-color",
			}, exclude...)
			cmd := exec.CommandContext(t.Context(), "schemathesis", arguments...)
			cmd.Dir = t.TempDir()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
