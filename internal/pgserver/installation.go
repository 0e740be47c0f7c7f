package pgserver

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// installation is an installed version of PostgreSQL's server.
type installation struct {
	bin     string // the folder of its programs
	version string // major version, as in PG_VERSION
}

var majorVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// findInstallation returns the installed version that wrote the data, or else the newest one of
// Debian's packages, or else the one in PATH.
func findInstallation(ctx context.Context, dataVersion string) (installation, error) {
	found := packaged("/usr/lib/postgresql")
	for _, i := range found {
		if i.version == dataVersion {
			return i, nil
		}
	}
	if len(found) > 0 {
		return found[0], nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return installation{}, fmt.Errorf("%w: initdb is neither in /usr/lib/postgresql/*/bin nor in PATH; install the package postgresql "+
			"(Debian, Ubuntu) or postgresql-server (Fedora)", ErrNotInstalled)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return installation{}, fmt.Errorf("resolve %s: %w", path, err)
	}
	output, err := exec.CommandContext(ctx, path, "--version").Output() //nolint:gosec // found in the user's PATH
	if err != nil {
		return installation{}, fmt.Errorf("%s --version: %w", path, err)
	}
	match := majorVersion.FindSubmatch(output)
	if match == nil {
		return installation{}, fmt.Errorf("%s --version: no version in %q", path, output)
	}
	return installation{bin: filepath.Dir(path), version: string(match[1])}, nil
}

// packaged returns the versions installed under root as VERSION/bin, newest first.
func packaged(root string) []installation {
	var found []installation
	programs, _ := filepath.Glob(filepath.Join(root, "*", "bin", "initdb"))
	for _, program := range programs {
		bin := filepath.Dir(program)
		found = append(found, installation{bin: bin, version: filepath.Base(filepath.Dir(bin))})
	}
	slices.SortFunc(found, func(a, b installation) int { return cmp.Compare(b.number(), a.number()) })
	return found
}

func (i installation) number() float64 {
	n, err := strconv.ParseFloat(i.version, 64) // versions before 10 have a dot
	if err != nil {
		return 0
	}
	return n
}
