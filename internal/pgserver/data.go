package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"merchstore.io/merchstore/internal/subprocess"
)

// prepareData creates the data folder if it does not exist, and finds the server binaries of its
// version.
func (s *Server) prepareData(ctx context.Context) error {
	version, err := dataVersion(s.data)
	if err != nil {
		return err
	}
	found, err := findInstallation(ctx, version)
	if err != nil {
		return err
	}
	s.bin = found.bin
	switch version {
	case "":
		return s.initData(ctx)
	case found.version:
		return s.chownData()
	default:
		return fmt.Errorf("the data in %s was written by PostgreSQL %s, but the server here is version %s: "+
			"install the package postgresql-%s, or move the folder away to start with an empty one",
			s.data, version, found.version, version)
	}
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

// initData runs initdb in a temporary folder and renames the result, so that an interrupted initdb
// leaves no data folder.
func (s *Server) initData(ctx context.Context) error {
	temp, passwordFile := s.data+".new", filepath.Join(s.dir, "initdb.password")
	if err := os.RemoveAll(temp); err != nil {
		return fmt.Errorf("remove unfinished data folder: %w", err)
	}
	if err := os.Mkdir(temp, 0o700); err != nil {
		return fmt.Errorf("create data folder: %w", err)
	}
	defer os.RemoveAll(temp)
	defer os.Remove(passwordFile)
	if err := os.WriteFile(passwordFile, []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password file: %w", err)
	}
	if err := errors.Join(s.account.chown(temp), s.account.chown(passwordFile)); err != nil {
		return err
	}
	if err := s.runInitdb(ctx, temp, passwordFile); err != nil {
		return err
	}
	if err := os.Remove(s.data); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder may exist
		return fmt.Errorf("remove empty data folder: %w", err)
	}
	if err := os.Rename(temp, s.data); err != nil {
		return fmt.Errorf("rename data folder: %w", err)
	}
	return nil
}

// runInitdb creates a cluster with the collation C, which is fast, lets LIKE use indexes and does
// not change with the C library, and with the character classes of Unicode.
func (s *Server) runInitdb(ctx context.Context, data, passwordFile string) error {
	args := []string{
		"--pgdata=" + data, "--username=" + User, "--pwfile=" + passwordFile, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8", "--data-checksums", "--no-instructions",
	}
	if s.settings["fsync"] == "off" {
		args = append(args, "--no-sync")
	}
	output := new(bytes.Buffer)
	p, err := subprocess.Start(s.command("initdb", output, args...))
	if err != nil {
		return fmt.Errorf("run initdb as user %s: %w", s.account.name, err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		killTree(p)
		return fmt.Errorf("create data folder: %w", ctx.Err())
	}
	if p.Err() != nil {
		return fmt.Errorf("initdb: %w\n%s", p.Err(), bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// chownData changes the owner of data that belongs to root, for instance because root has copied
// it.
func (s *Server) chownData() error {
	info, err := os.Stat(s.data)
	if err != nil {
		return fmt.Errorf("read data folder: %w", err)
	}
	if s.account.credential == nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		return nil
	}
	return filepath.WalkDir(s.data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("giving %s to user %s: %w", s.data, s.account.name, err)
		}
		return s.account.chown(path)
	})
}

// passwordFor returns the given password, or else the one stored in dir, which it generates if it
// does not exist.
func passwordFor(dir, given string) (string, error) {
	if strings.ContainsAny(given, "\r\n") {
		return "", errors.New("the password contains a line break")
	}
	if given != "" {
		return given, nil
	}
	file := filepath.Join(dir, "password")
	stored, err := os.ReadFile(file) //nolint:gosec // chosen by the caller
	if err == nil && len(bytes.TrimSpace(stored)) > 0 {
		return string(bytes.TrimSpace(stored)), nil
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
