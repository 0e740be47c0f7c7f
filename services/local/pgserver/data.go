package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// prepare creates the data folder if it does not exist, and finds the programs of its version.
func (s *Server) prepare(ctx context.Context, lock *os.File) (err error) {
	version, err := dataVersion(s.path("data"))
	if err != nil {
		return err
	}
	if s.bin, err = programs(version); err != nil {
		return err
	}
	if s.credential, err = credentialFor(s.path("data")); err != nil {
		return err
	}
	if s.password, err = storedPassword(s.path("password")); err != nil {
		return err
	}
	if err := s.chown(); err != nil {
		return err
	}
	if version != "" {
		return nil
	}
	return s.createData(ctx, lock)
}

// dataVersion returns the major version of PostgreSQL that wrote the folder, or "" if it is missing
// or empty.
func dataVersion(data string) (string, error) {
	entries, err := os.ReadDir(data)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read data folder: %w", err)
	}
	version, err := os.ReadFile(filepath.Join(data, "PG_VERSION")) //nolint:gosec // chosen by the caller
	if err != nil {
		return "", fmt.Errorf("the folder %s contains something other than PostgreSQL's data: %w", data, err)
	}
	return strings.TrimSpace(string(version)), nil
}

// programs returns the folder of the programs of a version, or else of the newest version that a
// Debian package has installed, or else of that in PATH. The server rejects data of another
// version.
func programs(version string) (string, error) {
	packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	for i, initdb := range packaged {
		packaged[i] = filepath.Dir(initdb)
	}
	if bin := filepath.Join("/usr/lib/postgresql", version, "bin"); slices.Contains(packaged, bin) {
		return bin, nil
	}
	if len(packaged) > 0 {
		return newest(packaged), nil
	}
	initdb, err := exec.LookPath("initdb")
	if err == nil {
		initdb, err = filepath.EvalSymlinks(initdb)
	}
	if err != nil {
		return "", fmt.Errorf("find initdb: %w; install the package postgresql (Debian, Ubuntu) or postgresql-server (Fedora)", err)
	}
	return filepath.Dir(initdb), nil
}

// newest returns the folder VERSION/bin with the highest version.
func newest(folders []string) string {
	number := func(bin string) float64 { // versions before 10 have a dot
		n, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(bin)), 64)
		return n
	}
	return slices.MaxFunc(folders, func(a, b string) int { return int(10 * (number(a) - number(b))) })
}

// credentialFor returns the user to run as: PostgreSQL refuses to run as root, so root runs it as
// the owner of existing data, and for new data as "postgres", which its package creates, or
// "nobody".
func credentialFor(data string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is the current user
	}
	if info, err := os.Stat(data); err == nil {
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 0 {
			return &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uidErr, gidErr)
	}
	return nil, errors.New("PostgreSQL cannot run as root, and there is no user postgres or nobody")
}

// chown makes the user that runs the server the owner of the folder. Root owns data that root has
// copied.
func (s *Server) chown() error {
	if s.credential == nil {
		return nil
	}
	root, err := os.OpenRoot(s.options.Dir)
	if err != nil {
		return fmt.Errorf("change owner: %w", err)
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = root.Lchown(path, int(s.credential.Uid), int(s.credential.Gid))
		}
		if err != nil {
			return fmt.Errorf("change owner: %w", err)
		}
		return nil
	})
}

// storedPassword returns the password in a file, which it generates if it does not exist.
func storedPassword(file string) (string, error) {
	stored, err := os.ReadFile(file) //nolint:gosec // chosen by the caller
	if password := string(bytes.TrimSpace(stored)); password != "" {
		return password, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read password: %w", err)
	}
	password := rand.Text()
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("store password: %w", err)
	}
	return password, nil
}

// createData runs initdb in a temporary folder and renames the result, so that an interrupted
// initdb leaves no data folder. The collation C is fast, lets LIKE use indexes and does not change
// with the C library; the character classes are those of Unicode.
func (s *Server) createData(ctx context.Context, lock *os.File) error {
	if err := os.RemoveAll(s.path("data.new")); err != nil {
		return fmt.Errorf("remove unfinished data folder: %w", err)
	}
	log, err := s.newLog()
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{
		"--pgdata=data.new", "--username=" + User, "--pwfile=password", "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8", "--data-checksums", "--no-instructions",
	}
	if s.options.Settings["fsync"] == "off" {
		args = append(args, "--no-sync")
	}
	p, err := s.run("initdb", lock, log, args...)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("create data folder: %w", ctx.Err())
	}
	if p.Err() != nil {
		return s.failure("initdb: " + p.Err().Error())
	}
	if err := os.Remove(s.path("data")); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder may exist
		return fmt.Errorf("remove empty data folder: %w", err)
	}
	if err := os.Rename(s.path("data.new"), s.path("data")); err != nil {
		return fmt.Errorf("rename data folder: %w", err)
	}
	return nil
}
