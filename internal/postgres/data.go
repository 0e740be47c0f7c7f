package postgres

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

	"merchstore.io/merchstore/internal/child"
)

// prepareData makes the data folder when there is none, and finds the binaries that fit the one there is.
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
		return s.giveData()
	default:
		return fmt.Errorf("the data in %s was written by PostgreSQL %s, but the server here is version %s: "+
			"install the package postgresql-%s, or move the folder away to begin with an empty one",
			s.data, version, found.version, version)
	}
}

// dataVersion is the major version that wrote the folder, "" when it is missing or empty.
func dataVersion(data string) (string, error) {
	entries, err := os.ReadDir(data)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("looking at its data: %w", err)
	}
	version, err := os.ReadFile(filepath.Join(data, "PG_VERSION")) //nolint:gosec // the folder is the caller's choice
	if err != nil {
		return "", fmt.Errorf("the folder %s holds something else than PostgreSQL's data: %w", data, err)
	}
	return strings.TrimSpace(string(version)), nil
}

// initData runs initdb beside the final place and renames the result, so that a folder half made never looks like data.
func (s *Server) initData(ctx context.Context) error {
	fresh, secret := s.data+".new", filepath.Join(s.dir, "initdb.password")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("clearing an unfinished data folder: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	defer os.RemoveAll(fresh)
	defer os.Remove(secret)
	if err := os.WriteFile(secret, []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("handing the password to initdb: %w", err)
	}
	if err := errors.Join(s.account.give(fresh), s.account.give(secret)); err != nil {
		return err
	}
	if err := s.runInitdb(ctx, fresh, secret); err != nil {
		return err
	}
	if err := os.Remove(s.data); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty one that was there
		return fmt.Errorf("replacing the empty data folder: %w", err)
	}
	if err := os.Rename(fresh, s.data); err != nil {
		return fmt.Errorf("moving the new data into place: %w", err)
	}
	return nil
}

// runInitdb sorts by bytes, which is fast, lets LIKE use an index and never changes with the C library; what is a letter
// and what its lower case is, it takes from Unicode.
func (s *Server) runInitdb(ctx context.Context, data, secret string) error {
	args := []string{
		"--pgdata=" + data, "--username=" + User, "--pwfile=" + secret, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8", "--data-checksums", "--no-instructions",
	}
	if s.settings["fsync"] == "off" {
		args = append(args, "--no-sync")
	}
	output := new(bytes.Buffer)
	p, err := child.Start(s.command("initdb", output, args...))
	if err != nil {
		return fmt.Errorf("as user %s: %w", s.account.name, err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		killFamily(p)
		return fmt.Errorf("making the data folder: %w", ctx.Err())
	}
	if p.Err() != nil {
		return fmt.Errorf("making the data folder with initdb: %w\n%s", p.Err(), bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// giveData hands data that root owns, as after a copy, to the user that must own it; otherwise it has its owner already.
func (s *Server) giveData() error {
	info, err := os.Stat(s.data)
	if err != nil {
		return fmt.Errorf("looking at its data: %w", err)
	}
	if s.account.credential == nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		return nil
	}
	return filepath.WalkDir(s.data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("giving %s to user %s: %w", s.data, s.account.name, err)
		}
		return s.account.give(path)
	})
}

// passwordFor returns the one given, or else the one kept in dir, which the first start makes.
func passwordFor(dir, given string) (string, error) {
	if strings.ContainsAny(given, "\r\n") {
		return "", errors.New("the password holds a line break")
	}
	if given != "" {
		return given, nil
	}
	file := filepath.Join(dir, "password")
	kept, err := os.ReadFile(file) //nolint:gosec // the folder is the caller's choice
	if err == nil && len(bytes.TrimSpace(kept)) > 0 {
		return string(bytes.TrimSpace(kept)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the kept password: %w", err)
	}
	password := rand.Text()
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keeping the password: %w", err)
	}
	return password, nil
}
