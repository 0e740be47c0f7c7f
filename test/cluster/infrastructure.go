package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"merchstore.io/merchstore/test/kafka"
)

// infrastructureImage has PostgreSQL, Kafka and Valkey (or Redis, which it comes from) in it: where there is no way to the official
// images, the chart's values name this one. See the README's part about Kubernetes.
const infrastructureImage = "test.merchstore.io/infrastructure:dev"

//go:embed infrastructure
var infrastructureFiles embed.FS

// packages are Debian's. PostgreSQL compiles queries only where it finds the means to, which are larger than itself.
const packages = "postgresql,default-jre-headless,redis-server"

var leftOut = []string{
	"/usr/share/doc/*", "/usr/share/locale/*",
	"/usr/lib/postgresql/*/lib/llvmjit*", "/usr/lib/postgresql/*/lib/bitcode/*", "/usr/lib/*/libLLVM*", "/usr/lib/*/libz3*",
}

// infrastructure says where the archive of infrastructureImage is, in the user's cache, and makes it if it is not there yet: from
// the Debian or Ubuntu packages that this machine gets its own from, and Kafka's jars.
func infrastructure(ctx context.Context, out io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("look for the user's cache: %w", err)
	}
	jars, err := kafka.Jars(ctx)
	if err != nil {
		return "", err
	}
	version, err := infrastructureVersion(jars)
	if err != nil {
		return "", err
	}
	archive := filepath.Join(cache, "merchstore", "infrastructure-"+version, "infrastructure.tar")
	if _, err := os.Stat(archive); !errors.Is(err, fs.ErrNotExist) {
		return archive, err
	}
	fmt.Fprintln(out, "making an image with PostgreSQL, Kafka and Redis from packages (only this once; a minute or two)")
	work, err := os.MkdirTemp("", "merchstore-infrastructure-")
	if err != nil {
		return "", fmt.Errorf("make a folder to work in: %w", err)
	}
	defer os.RemoveAll(work)
	root := filepath.Join(work, "root.tar")
	if err := makeRoot(ctx, work, root, jars); err != nil {
		return "", fmt.Errorf("make an image's files: %w", err)
	}
	layer, err := os.ReadFile(root)
	if err != nil {
		return "", fmt.Errorf("read an image's files: %w", err)
	}
	return archive, writeImage(archive, infrastructureImage, layer, map[string]any{
		"Entrypoint": []string{"/usr/local/bin/entrypoint.sh"},
		"Env":        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/opt/postgresql/bin", "LANG=C.UTF-8"},
	})
}

// infrastructureVersion changes with all that the image is made of, but for the packages' own versions.
func infrastructureVersion(jars string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, filepath.Base(jars), packages, leftOut)
	err := fs.WalkDir(infrastructureFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := infrastructureFiles.ReadFile(path)
		fmt.Fprintf(h, "%s %q\n", path, content)
		return err
	})
	return fmt.Sprintf("%.6x", h.Sum(nil)), err
}

// makeRoot writes the archive of all the image's files. The links are for the chart, which uses the names of the official images.
func makeRoot(ctx context.Context, work, root, jars string) error {
	scripts := filepath.Join(work, "scripts")
	if err := os.CopyFS(scripts, infrastructureFiles); err != nil {
		return err
	}
	sources, err := packageSources()
	if err != nil {
		return err
	}
	args := []string{"--quiet", "--mode=root", "--variant=essential", "--include=" + packages}
	for _, path := range leftOut {
		args = append(args, "--dpkgopt=path-exclude="+path)
	}
	settings := filepath.Join(work, "apt.conf")
	if err := acquireSettings(ctx, settings); err != nil {
		return err
	}
	args = append(args, "--aptopt="+settings,
		`--customize-hook=mkdir -p "$1/opt/kafka/bin"`,
		fmt.Sprintf(`--customize-hook=cp -r %q "$1/opt/kafka/libs"`, jars),
		fmt.Sprintf(`--customize-hook=install -m 755 %q/infrastructure/kafka-*.sh "$1/opt/kafka/bin"`, scripts),
		fmt.Sprintf(`--customize-hook=install -m 755 %q/infrastructure/entrypoint.sh "$1/usr/local/bin"`, scripts),
		`--customize-hook=chroot "$1" sh -c 'ln -s /usr/lib/postgresql/* /opt/postgresql'`,
		`--customize-hook=ln -s redis-server "$1/usr/bin/valkey-server" && ln -s redis-cli "$1/usr/bin/valkey-cli"`,
		// The users of the official images, which PostgreSQL looks up.
		`--customize-hook=printf 'database:x:999:999::/tmp:/bin/sh\nkafka:x:1000:1000::/tmp:/bin/sh\n' >>"$1/etc/passwd"`,
		// What this machine is told about packages is its own business, and a database comes with the package.
		`--customize-hook=rm -rf "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list* "$1"/var/lib/postgresql/*`,
		"", root, sources)
	return execute(ctx, nil, "mmdebstrap", args...)
}

// acquireSettings writes down how apt is told to get at packages, by a proxy for instance.
func acquireSettings(ctx context.Context, file string) error {
	settings, err := exec.CommandContext(ctx, "apt-config", "dump", "Acquire").Output()
	if err != nil {
		return fmt.Errorf("ask for apt's settings: %w", err)
	}
	return writeFile(file, settings)
}

// packageSources is the file that says where this machine's distribution has its packages; those of others are left out.
func packageSources() (string, error) {
	for _, file := range []string{"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list.d/ubuntu.sources", "/etc/apt/sources.list"} {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", errors.New("this machine has neither Debian's nor Ubuntu's packages: build the image elsewhere")
}
