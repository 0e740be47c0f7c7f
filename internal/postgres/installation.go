package postgres

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

// installation is one version of PostgreSQL's server on this machine.
type installation struct {
	bin     string // the folder of its programs
	version string // major version, as in PG_VERSION
}

var majorVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// findInstallation prefers the version that wrote the data, then the newest that Debian's packages put side by side,
// then what PATH has.
func findInstallation(ctx context.Context, written string) (installation, error) {
	found := packaged("/usr/lib/postgresql")
	for _, i := range found {
		if i.version == written {
			return i, nil
		}
	}
	if len(found) > 0 {
		return found[0], nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return installation{}, fmt.Errorf("%w: neither /usr/lib/postgresql/*/bin nor PATH has it; install the package postgresql "+
			"(Debian, Ubuntu) or postgresql-server (Fedora)", ErrNotInstalled)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return installation{}, fmt.Errorf("following %s: %w", path, err)
	}
	output, err := exec.CommandContext(ctx, path, "--version").Output() //nolint:gosec // PATH is the user's
	if err != nil {
		return installation{}, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	match := majorVersion.FindSubmatch(output)
	if match == nil {
		return installation{}, fmt.Errorf("no version in what %s --version says: %q", path, output)
	}
	return installation{bin: filepath.Dir(path), version: string(match[1])}, nil
}

// packaged lists what is installed under root as VERSION/bin, newest first.
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
	n, err := strconv.ParseFloat(i.version, 64) // 9.6 was the last with a dot
	if err != nil {
		return 0
	}
	return n
}
