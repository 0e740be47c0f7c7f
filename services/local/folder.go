package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// rootFolder contains the data folders of root. Under root, PostgreSQL runs as another user, who
// has no access to folders such as /root.
const rootFolder = "/var/lib/merchstore"

// defaultFolder returns .data in the working folder, or for root a folder named after the working
// folder.
func defaultFolder(uid int, working string) string {
	if uid != 0 {
		return filepath.Join(working, ".data")
	}
	slug := strings.ReplaceAll(strings.Trim(working, "/"), "/", "-")
	if slug == "" {
		slug = "root"
	}
	return filepath.Join(rootFolder, slug)
}

// folder is the data folder. It is used by one run at a time.
type folder struct {
	path string
	lock *os.File
}

func openFolder(path string) (*folder, error) {
	if path == "" {
		working, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("get working folder: %w", err)
		}
		path = defaultFolder(os.Geteuid(), working)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("resolve data folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o711); err != nil { //nolint:gosec // PostgreSQL's user needs access to its own folder
		return nil, fmt.Errorf("create data folder: %w; choose another with DATA_DIR=…", err)
	}
	info, err := os.Stat(path)
	if err == nil && os.Geteuid() == 0 {
		err = os.Chmod(path, info.Mode().Perm()|0o011) // to be entered, but not listed
	}
	if err != nil {
		return nil, fmt.Errorf("give PostgreSQL's user access to the data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "in-use"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // chosen by the user
	if err != nil {
		return nil, fmt.Errorf("open data folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the store already runs on the data in %s: stop it first, or use another folder (DATA_DIR=…) and other ports", path)
		}
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	return &folder{path: path, lock: lock}, nil
}

// close unlocks the folder. Closing the file alone does not unlock it while a child that is being
// started shares it between fork and exec.
func (f *folder) close() {
	_ = syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN)
	_ = f.lock.Close()
}

func (f *folder) postgres() string { return filepath.Join(f.path, "postgres") }

func (f *folder) kafka() string { return filepath.Join(f.path, "kafka") }

func (f *folder) logs() string { return filepath.Join(f.path, "logs") }

// newLog creates the log of a process. The log of the previous run is kept with the suffix .1.
func (f *folder) newLog(process string) (*os.File, error) {
	if err := os.MkdirAll(f.logs(), 0o700); err != nil {
		return nil, fmt.Errorf("create folder of logs: %w", err)
	}
	path := filepath.Join(f.logs(), process+".log")
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep previous log: %w", err)
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // chosen by the user
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	return log, nil
}

// jwtKeys returns the stored JWT keys. The first call generates them. They are stored so that
// tokens stay valid over restarts.
func (f *folder) jwtKeys() (string, error) {
	path := filepath.Join(f.path, "jwt-keys")
	stored, err := os.ReadFile(path) //nolint:gosec // chosen by the user
	if keys := string(bytes.TrimSpace(stored)); err == nil && keys != "" {
		return keys, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read JWT keys: %w", err)
	}
	keys := "local:" + rand.Text() + rand.Text()
	if err := os.WriteFile(path, []byte(keys+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("store JWT keys: %w", err)
	}
	return keys, nil
}
