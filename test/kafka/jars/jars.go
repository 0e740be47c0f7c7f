// Package jars downloads Kafka's jars.
package jars

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// tailLimit is the number of bytes of Maven's output included in an error.
const tailLimit = 4 << 10

//go:embed pom.xml
var pom []byte

// Dir returns the directory of Kafka's jars, in the user's cache. The first call downloads them
// with Maven. Concurrent calls, also of other processes, wait for one download. A change of pom.xml
// leads to a new directory.
func Dir(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	cache = filepath.Join(cache, "merchstore")
	version, err := pinnedVersion()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, fmt.Sprintf("kafka-%s-%.4x", version, sha256.Sum256(pom)))
	if exists(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return "", fmt.Errorf("create cache folder: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(cache, "kafka.lock"))
	if err != nil {
		return "", fmt.Errorf("lock cache of Kafka's jars: %w", err)
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	if err := download(ctx, cache, dir); err != nil {
		return "", fmt.Errorf("download Kafka's jars: %w", err)
	}
	return dir, nil
}

func pinnedVersion() (string, error) {
	var project struct {
		Version string `xml:"properties>kafka.version"`
	}
	if err := xml.Unmarshal(pom, &project); err != nil {
		return "", fmt.Errorf("parse pom.xml: %w", err)
	}
	return project.Version, nil
}

// download downloads to a temporary directory and renames it, so that an interrupted download
// leaves no directory.
func download(ctx context.Context, cache, dir string) error {
	work, err := os.MkdirTemp(cache, "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o600); err != nil {
		return err
	}
	lib := filepath.Join(work, "lib")
	mvn := exec.CommandContext(ctx, "mvn", "--batch-mode", "--no-transfer-progress", "--quiet", "--file", work,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+lib)
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn: %w\n%s", err, out[max(0, len(out)-tailLimit):])
	}
	return os.Rename(lib, dir)
}

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return !errors.Is(err, fs.ErrNotExist)
}

// lock locks a file. The kernel releases the lock if this process ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		}
	}
}
