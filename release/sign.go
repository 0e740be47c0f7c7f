package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// noServices is a signing configuration without a transparency log or a timestamp authority: a
// release is verified with the public key alone.
const noServices = `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}`

// sign signs all artifacts, attests their provenance and SBOMs, and signs the checksums of the
// release's files.
func (r *release) sign(ctx context.Context) error {
	config := filepath.Join(r.work, "signing-config.json")
	if err := os.WriteFile(config, []byte(noServices), 0o600); err != nil {
		return fmt.Errorf("write cosign's configuration: %w", err)
	}
	common := []string{"--key", r.Key, "--signing-config", config, "--yes"}
	remote := common
	if r.Insecure {
		remote = append(remote[:len(remote):len(remote)], "--allow-http-registry")
	}
	if err := r.writeProvenance(); err != nil {
		return err
	}
	for _, a := range r.artifacts {
		// The images of an index are signed as well: clusters verify what a node runs.
		commands := [][]string{
			{"sign", "--recursive"},
			{"attest", "--type", "slsaprovenance1", "--predicate", filepath.Join(r.folder, provenance)},
		}
		if a.sbom != "" {
			commands = append(commands, []string{"attest", "--type", "cyclonedx", "--predicate", a.sbom})
		}
		for _, command := range commands {
			if _, err := output(ctx, "cosign", append(append(command, remote...), a.digest.String())...); err != nil {
				return err
			}
		}
	}
	return r.signFiles(ctx, common)
}

// writeSBOM writes the SBOM of a program, which is the same for all architectures.
func (r *release) writeSBOM(ctx context.Context, program string) (file string, err error) {
	file = filepath.Join(r.folder, program+".cdx.json")
	_, err = output(ctx, "cyclonedx-gomod", "bin", "-json", "-std", "-short-purls", "-noserial", "-notimestamp",
		"-version", "v"+r.Version, "-output", file, built(program, architectures[0]))
	return file, err
}

const provenance = "provenance.json"

// writeProvenance writes a predicate of SLSA provenance, https://slsa.dev/spec/v1.0/provenance. It is
// the same for all artifacts.
func (r *release) writeProvenance() error {
	type object = map[string]any
	content, err := json.MarshalIndent(object{
		"buildDefinition": object{
			"buildType":          r.Source + "/docs/release.md",
			"externalParameters": object{"version": r.Version, "registry": r.Registry, "source": r.Source},
			"internalParameters": object{"go": runtime.Version()},
			"resolvedDependencies": []object{
				{"uri": "git+" + r.Source, "digest": object{"gitCommit": r.revision}},
			},
		},
		"runDetails": object{"builder": object{"id": r.Builder}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return r.write(provenance, append(content, '\n'))
}

// signFiles writes the digests of the artifacts, the checksums of all files, and the signature of
// those.
func (r *release) signFiles(ctx context.Context, common []string) error {
	var digests strings.Builder
	for _, a := range r.artifacts {
		fmt.Fprintln(&digests, a.digest)
	}
	if err := r.write("digests.txt", []byte(digests.String())); err != nil {
		return err
	}
	files, err := os.ReadDir(r.folder)
	if err != nil {
		return fmt.Errorf("list the files of the release: %w", err)
	}
	var sums strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(r.folder, file.Name()))
		if err != nil {
			return fmt.Errorf("read a file of the release: %w", err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), file.Name())
	}
	if err := r.write("SHA256SUMS", []byte(sums.String())); err != nil {
		return err
	}
	path := filepath.Join(r.folder, "SHA256SUMS")
	_, err = output(ctx, "cosign", append(append([]string{"sign-blob", "--bundle", path + ".sigstore.json"}, common...), path)...)
	return err
}

// logIn writes a login to the registry for this process and its children alone.
func (r *release) logIn() error {
	registry, _, _ := strings.Cut(r.Registry, "/")
	login := base64.StdEncoding.EncodeToString([]byte(r.Username + ":" + string(r.Password)))
	config, err := json.Marshal(map[string]any{"auths": map[string]any{registry: map[string]string{"auth": login}}})
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(r.work, "config.json"), config, 0o600),
		os.Setenv("DOCKER_CONFIG", r.work),
	)
}

// output runs a program that is on the PATH, and returns what it prints.
func output(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output() //nolint:gosec // the programs are those of this package
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", program, args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}
