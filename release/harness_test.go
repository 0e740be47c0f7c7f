//go:build e2e

package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
)

// startRegistry serves a registry that everyone may read, and "robot" may write.
func startRegistry(t *testing.T) (host string) {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		reads := r.URL.Path != "/v2/" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
		if !reads && (user != "robot" || password != "secret") {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// newKey returns the name of a key pair, without .key and .pub.
func newKey(t *testing.T, name string) string {
	t.Helper()
	prefix := filepath.Join(t.TempDir(), name)
	if said, err := cosign(t, "generate-key-pair", "--output-key-prefix", prefix); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return prefix
}

func cosign(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return execute(t, "", []string{"COSIGN_PASSWORD=of the key"}, tool(t, "cosign"), args...)
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", ".bin", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// execute runs a program without the machine's own settings of registries.
func execute(t *testing.T, folder string, env []string, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), "DOCKER_CONFIG="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir()), env...) //nolint:forbidigo // PATH and the like
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// publish releases what is in a folder, and returns the folder of what is released besides images.
func publish(t *testing.T, work, host, key string, env ...string) string {
	t.Helper()
	said, err := execute(t, work, append(settingsOf(host, key), env...), "make", "release", "BIN="+filepath.Dir(tool(t, "make")))
	if err != nil {
		t.Fatalf("make release: %v\n%s", err, said)
	}
	t.Log(said)
	return filepath.Join(work, "build", "release", version)
}

func settingsOf(host, key string) []string {
	return []string{
		"VERSION=" + version, "REGISTRY=" + host + "/shop", "REGISTRY_USERNAME=robot", "REGISTRY_PASSWORD=secret",
		"SIGNING_KEY=" + key + ".key", "COSIGN_PASSWORD=of the key",
	}
}

// checkout copies the working tree, gives the version a section in its changelog, and commits it.
func checkout(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	script := `set -euo pipefail
	git -C .. ls-files -z --cached --others --exclude-standard --deduplicate | (cd .. && xargs -0 cp --parents --no-dereference --preserve=timestamps,mode --target-directory "$1")
	cd "$1"
	sed -i 's/^## \[Unreleased\]$/&\n\n## [` + version + `] - 2026-01-02\n\nThe notes of this test./' CHANGELOG.md
	git init --quiet
	git add .
	git -c user.name=test -c user.email=test@example.com commit --quiet --message test`
	if said, err := execute(t, "", nil, "bash", "-c", script, "bash", folder); err != nil {
		t.Fatalf("copy the working tree: %v\n%s", err, said)
	}
	return folder
}

func content(t *testing.T, folder, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func reference(t *testing.T, host, thing string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(host + "/shop/" + thing + ":" + version)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
