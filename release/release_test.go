//go:build e2e

package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const version = "9.8.7-rc.1"

// TestRelease publishes a version, as `make release` does, from two copies of this working tree.
func TestRelease(t *testing.T) {
	host := startRegistry(t)
	key := newKey(t, "release")
	commit := checkout(t)
	elsewhere := t.TempDir()
	if said, err := execute(t, "", nil, "cp", "--archive", commit+"/.", elsewhere); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	first := publish(t, commit, host, key)
	second := publish(t, elsewhere, host, key)

	digests := strings.Fields(content(t, first, "digests.txt"))
	if len(digests) != len(programs)+1 {
		t.Fatalf("digests.txt has %d lines: %q", len(digests), digests)
	}
	t.Run("the same commit gives the same files and digests", func(t *testing.T) {
		for _, file := range []string{"digests.txt", "SHA256SUMS"} {
			if diff := cmp.Diff(content(t, first, file), content(t, second, file)); diff != "" {
				t.Errorf("%s of the second release differs: %s", file, diff)
			}
		}
	})
	t.Run("checksums are right and signed", func(t *testing.T) { checksums(t, first, key) })
	for _, digest := range digests {
		thing := strings.TrimPrefix(digest[:strings.Index(digest, "@")], host+"/shop/")
		t.Run(thing+" is signed, with its provenance", func(t *testing.T) { signatures(t, digest, key) })
	}
	for _, program := range programs {
		t.Run(program+" is a static program for both architectures", func(t *testing.T) { images(t, host, program) })
	}
	t.Run("the chart names the images by digest", func(t *testing.T) { chart(t, host, digests) })
	t.Run("a changed image does not verify", func(t *testing.T) { changed(t, host, key) })
	t.Run("mistakes are found before anything is pushed", func(t *testing.T) { mistakes(t, commit, host, key) })
	t.Run("another key does not verify", func(t *testing.T) {
		if said, err := cosign(t, "verify", "--key", newKey(t, "other")+".pub", "--insecure-ignore-tlog", digests[0]); err == nil {
			t.Errorf("verified: %s", said)
		}
	})
}

func checksums(t *testing.T, folder, key string) {
	if said, err := execute(t, folder, nil, "sha256sum", "--check", "--strict", "SHA256SUMS"); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	verify := func() (string, error) {
		return cosign(t, "verify-blob", "--key", key+".pub", "--insecure-ignore-tlog", "--bundle", folder+"/SHA256SUMS.sigstore.json", folder+"/SHA256SUMS")
	}
	if said, err := verify(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	if notes := content(t, folder, "release-notes.md"); !strings.HasPrefix(notes, "The notes of this test.") {
		t.Errorf("release notes: %s", notes)
	}
	if err := os.WriteFile(folder+"/SHA256SUMS", []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if said, err := verify(); err == nil {
		t.Errorf("changed checksums verified: %s", said)
	}
}

func signatures(t *testing.T, digest, key string) {
	for name, args := range map[string][]string{
		"the signature": {"verify"},
		"provenance":    {"verify-attestation", "--type", "slsaprovenance1"},
		"the SBOM":      {"verify-attestation", "--type", "cyclonedx"},
	} {
		if name == "the SBOM" && strings.Contains(digest, "/merchstore@") {
			continue // of programs only
		}
		said, err := cosign(t, append(args, "--key", key+".pub", "--insecure-ignore-tlog", digest)...)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}

func images(t *testing.T, host, program string) {
	index, err := remote.Index(reference(t, host, program))
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	if len(m.Manifests) != len(machines) {
		t.Errorf("%d images", len(m.Manifests))
	}
	for _, descriptor := range m.Manifests {
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, image, descriptor.Platform, machines[descriptor.Platform.Architecture])
	}
}

func checkImage(t *testing.T, image v1.Image, platform *v1.Platform, machine elf.Machine) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != platform.Architecture || config.Config.User != "65532:65532" || config.Config.Labels["org.opencontainers.image.version"] != version {
		t.Errorf("%s: %+v", platform, config)
	}
	files := tar.NewReader(mutate.Extract(image))
	header, err := files.Next()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(files)
	if err != nil {
		t.Fatal(err)
	}
	if header.Name != "program" || header.Mode != 0o555 {
		t.Errorf("%s: %s has the mode %o", platform, header.Name, header.Mode)
	}
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Errorf("%s: linked dynamically", platform)
		}
	}
	if program.Machine != machine {
		t.Errorf("%s: a program for %s", platform, program.Machine)
	}
}

// chart renders the chart with no values, as it is in the registry.
func chart(t *testing.T, host string, digests []string) {
	at := []string{"oci://" + host + "/shop/merchstore", "--version", version, "--plain-http"}
	rendered, err := execute(t, "", nil, tool(t, "helm"), append([]string{"template", "store", "--set", "infrastructure.loadgen.enabled=true,global.generateSecrets=true"}, at...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, rendered)
	}
	for _, digest := range digests[:len(programs)] {
		at, sum, _ := strings.Cut(digest, "@")
		if want := "image: " + at + ":" + version + "@" + sum + "\n"; !strings.Contains(rendered, want) {
			t.Errorf("nothing runs %s", want)
		}
	}
	if strings.Contains(rendered, "image: merchstore/") {
		t.Error("an image of a checkout is left")
	}
	about, err := execute(t, "", nil, tool(t, "helm"), append([]string{"show", "chart"}, at...)...)
	if err != nil {
		t.Errorf("%v\n%s", err, about)
	}
	for _, line := range []string{"version: " + version, "appVersion: " + version, "  version: " + version, "      version: v1alpha1"} {
		if !strings.Contains(about, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, about)
		}
	}
}

// changed puts another image under the name of a released one.
func changed(t *testing.T, host, key string) {
	ref := reference(t, host, "api")
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	other := mutate.Annotations(index, map[string]string{"changed": "true"}).(v1.ImageIndex)
	if err := remote.WriteIndex(ref, other, remote.WithAuth(&authn.Basic{Username: "robot", Password: "secret"})); err != nil {
		t.Fatal(err)
	}
	if said, err := cosign(t, "verify", "--key", key+".pub", "--insecure-ignore-tlog", ref.String()); err == nil {
		t.Errorf("verified: %s", said)
	}
}

// mistakes runs what `make release` runs after building. The tag of the first image names another one, see changed.
func mistakes(t *testing.T, work, host, key string) {
	path := "PATH=" + filepath.Dir(tool(t, "cosign")) + ":" + os.Getenv("PATH") //nolint:forbidigo // what make sets
	for _, test := range []struct{ name, before, env, problem string }{
		{"a version that is released with different images", "true", "", "is already released"},
		{"a wrong password of the key", "true", "COSIGN_PASSWORD=guess", "decrypt"},
		{"a version without notes", "true", "VERSION=1.0.0", `no section "## [1.0.0] - YYYY-MM-DD"`},
		{"a change that is not committed", "touch new", "", "differs from its commit:\n?? new"},
	} {
		if said, err := execute(t, work, nil, "bash", "-c", test.before); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		said, err := execute(t, work, append(settingsOf(host, key), path, test.env), "go", "run", "./release")
		if err == nil || !strings.Contains(said, test.problem) {
			t.Errorf("%s: %v\n%s", test.name, err, said)
		}
	}
}
