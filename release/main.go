// Command release publishes a version of the store to a registry: images of its programs for two
// architectures, and a chart that names them by digest, all signed. `make release` builds the
// programs and runs it; docs/release.md describes the result.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"merchstore.io/merchstore/internal/settings"
)

// Settings configure `make release`.
type Settings struct {
	Version  string          `env:"VERSION" help:"the version, such as 1.2.3; CHANGELOG.md has a section of that name"`
	Registry string          `env:"REGISTRY" help:"where images and the chart are pushed, such as registry.example.com/merchstore"`
	Key      string          `env:"SIGNING_KEY" help:"the private key to sign with, as in cosign --key: a file, env://VARIABLE, or the URI of a key service"`
	Username string          `env:"REGISTRY_USERNAME" help:"username for the registry; Docker's own logins are used if empty"`
	Password settings.Secret `env:"REGISTRY_PASSWORD" help:"password of REGISTRY_USERNAME"`
	Insecure bool            `env:"REGISTRY_INSECURE" envDefault:"false" help:"whether the registry has no TLS"`
	Source   string          `env:"SOURCE" envDefault:"https://merchstore.io/merchstore" help:"the URL of the source code, in labels and provenance"`
	Builder  string          `env:"BUILDER" envDefault:"https://merchstore.io/merchstore/release" help:"the URI of the builder, in provenance"`
}

// semanticVersion excludes build metadata, because an image's tag cannot contain "+".
var semanticVersion = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z][0-9A-Za-z.-]*)?$`)

// Validate implements settings.Validator.
func (s Settings) Validate() error {
	var problems []error
	if !semanticVersion.MatchString(s.Version) {
		problems = append(problems, fmt.Errorf("VERSION=%q is not a semantic version such as 1.2.3 or 1.2.3-rc.1", s.Version))
	}
	if _, err := name.NewRepository(s.Registry, name.StrictValidation); err != nil {
		problems = append(problems, fmt.Errorf("REGISTRY: %w", err))
	} else if strings.Contains(s.Registry, "://") {
		problems = append(problems, fmt.Errorf("REGISTRY=%q has a scheme, which an image's name cannot have", s.Registry))
	}
	if s.Key == "" {
		problems = append(problems, errors.New("SIGNING_KEY is not set; `cosign generate-key-pair` creates one"))
	}
	if (s.Username == "") != (s.Password == "") {
		problems = append(problems, errors.New("REGISTRY_USERNAME and REGISTRY_PASSWORD must be set together"))
	}
	return errors.Join(problems...)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Environ(), os.Stdout) //nolint:forbidigo // settings are read here
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, environ []string, out io.Writer) error {
	s, err := settings.Parse[Settings](environ)
	if err != nil {
		return err
	}
	r, err := newRelease(ctx, s, out)
	if err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	return r.publish(ctx)
}

// release is the publication of one version.
type release struct {
	Settings

	out       io.Writer
	revision  string    // the commit
	time      time.Time // of the commit, so that the same commit gives the same bytes
	folder    string    // local files of the release
	work      string    // temporary folder
	options   []remote.Option
	artifacts []artifact
}

// artifact is a published image or chart.
type artifact struct {
	name   string
	digest name.Digest
	sbom   string // a file; "" if there is none
}

// newRelease prepares a release of the current commit, without publishing anything.
func newRelease(ctx context.Context, s Settings, out io.Writer) (*release, error) {
	r := &release{Settings: s, out: out, folder: filepath.Join("build", "release", s.Version)}
	if err := r.readCommit(ctx); err != nil {
		return nil, err
	}
	notes, err := releaseNotes("CHANGELOG.md", s.Version)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(r.folder), os.MkdirAll(r.folder, 0o755)); err != nil { //nolint:gosec // released files are public
		return nil, fmt.Errorf("create the folder of the release: %w", err)
	}
	if err := r.write("release-notes.md", []byte(notes)); err != nil {
		return nil, err
	}
	// So that a wrong key or password fails before anything is pushed.
	if _, err := output(ctx, "cosign", "public-key", "--key", s.Key, "--outfile", filepath.Join(r.folder, "cosign.pub")); err != nil {
		return nil, err
	}
	if r.work, err = os.MkdirTemp("", "merchstore-release-"); err != nil {
		return nil, fmt.Errorf("create a temporary folder: %w", err)
	}
	if s.Username != "" {
		if err := r.logIn(); err != nil {
			return nil, errors.Join(err, os.RemoveAll(r.work))
		}
	}
	r.options = []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	return r, nil
}

// readCommit reads the current commit. It returns an error if there are uncommitted changes, because
// provenance would be wrong.
func (r *release) readCommit(ctx context.Context) error {
	changes, err := output(ctx, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" {
		return fmt.Errorf("the working tree differs from its commit:\n%s", changes)
	}
	commit, err := output(ctx, "git", "log", "-1", "--format=%H %cI")
	if err != nil {
		return err
	}
	var committed string
	r.revision, committed, _ = strings.Cut(commit, " ")
	if r.time, err = time.Parse(time.RFC3339, committed); err != nil {
		return fmt.Errorf("read the time of the commit: %w", err)
	}
	return nil
}

// publish pushes the images, then the chart, which names them, and then the signatures of both.
func (r *release) publish(ctx context.Context) error {
	for _, program := range programs {
		if err := r.publishProgram(ctx, program); err != nil {
			return fmt.Errorf("publish %s: %w", program, err)
		}
	}
	if err := r.publishChart(ctx); err != nil {
		return fmt.Errorf("publish the chart: %w", err)
	}
	if err := r.sign(ctx); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "%s: %s has the notes, SBOMs, provenance and checksums\n", r.Version, r.folder)
	return nil
}

// reference returns the tag of an image or the chart in the registry.
func (r *release) reference(artifact string) (name.Tag, error) {
	var options []name.Option
	if r.Insecure {
		options = append(options, name.Insecure)
	}
	return name.NewTag(r.Registry+"/"+artifact+":"+r.Version, options...)
}

func (r *release) write(file string, content []byte) error {
	if err := os.WriteFile(filepath.Join(r.folder, file), content, 0o644); err != nil { //nolint:gosec // released files are public
		return fmt.Errorf("write a file of the release: %w", err)
	}
	return nil
}
