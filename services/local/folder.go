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

// rootsFolder is where data goes when root starts the store: PostgreSQL then runs as another user, who can't enter
// everything that root can, /root for one.
const rootsFolder = "/var/lib/merchstore"

// defaultFolder is .data in the working folder; for root, one that is named after the working folder.
func defaultFolder(uid int, working string) string {
	if uid != 0 {
		return filepath.Join(working, ".data")
	}
	slug := strings.ReplaceAll(strings.Trim(working, "/"), "/", "-")
	if slug == "" {
		slug = "root"
	}
	return filepath.Join(rootsFolder, slug)
}

// folder is where everything is kept. It belongs to one run at a time.
type folder struct {
	path string
	lock *os.File
}

func openFolder(path string) (*folder, error) {
	if path == "" {
		working, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("find the working folder: %w", err)
		}
		path = defaultFolder(os.Geteuid(), working)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o711); err != nil { //nolint:gosec // PostgreSQL's user must get through to its own folder
		return nil, fmt.Errorf("make the data folder: %w; choose another with DATA_DIR=…", err)
	}
	if os.Geteuid() == 0 {
		if err := letThrough(path); err != nil {
			return nil, err
		}
	}
	lock, err := os.OpenFile(filepath.Join(path, "in-use"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the user's choice
	if err != nil {
		return nil, fmt.Errorf("open the data folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the store already runs on the data in %s: stop it first, or give this one a folder and ports of its own (DATA_DIR=…)", path)
		}
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	return &folder{path: path, lock: lock}, nil
}

// letThrough lets other users pass through a folder that was closed to them, though not look around in it.
func letThrough(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		err = os.Chmod(path, info.Mode().Perm()|0o011)
	}
	if err != nil {
		return fmt.Errorf("let PostgreSQL's user through the data folder: %w", err)
	}
	return nil
}

// close lets another run use the folder. Closing the file alone would not do so at once while a child process, which shares
// it from its fork to its exec, is being started.
func (f *folder) close() {
	_ = syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN)
	_ = f.lock.Close()
}

func (f *folder) postgres() string { return filepath.Join(f.path, "postgres") }

func (f *folder) kafka() string { return filepath.Join(f.path, "kafka") }

func (f *folder) logs() string { return filepath.Join(f.path, "logs") }

// newLog begins a process's log; the one of the run before is kept beside it.
func (f *folder) newLog(process string) (*os.File, error) {
	if err := os.MkdirAll(f.logs(), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of logs: %w", err)
	}
	path := filepath.Join(f.logs(), process+".log")
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep the log of the run before: %w", err)
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // the user's choice
	if err != nil {
		return nil, fmt.Errorf("begin a log: %w", err)
	}
	return log, nil
}

// jwtKeys are made on the first run and kept, so that a restart logs nobody out.
func (f *folder) jwtKeys() (string, error) {
	path := filepath.Join(f.path, "jwt-keys")
	kept, err := os.ReadFile(path) //nolint:gosec // the user's choice
	if keys := string(bytes.TrimSpace(kept)); err == nil && keys != "" {
		return keys, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the kept JWT keys: %w", err)
	}
	keys := "local:" + rand.Text() + rand.Text()
	if err := os.WriteFile(path, []byte(keys+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the JWT keys: %w", err)
	}
	return keys, nil
}
