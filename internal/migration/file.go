// Package migration migrates PostgreSQL databases with numbered SQL files in goose's format. A
// local run, `db migrate` and the operator all use it, so that they share one ledger, one lock and
// one set of rules. The ledger is goose's table: goose's own command can read and continue it.
package migration

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// File is a numbered migration in goose's format.
type File struct {
	Version int64
	// Name is NNNN_name.sql.
	Name string
	SQL  string
	// Checksum is the SHA-256 of the whole file, in hexadecimal.
	Checksum string
}

// NewFile returns the File with a name and a content. The error says what is wrong with the name.
func NewFile(name, content string) (File, error) {
	version, err := parseName(name)
	if err != nil {
		return File{}, fmt.Errorf("%q %w", name, err)
	}
	sum := sha256.Sum256([]byte(content))
	checksum := hex.EncodeToString(sum[:])
	return File{Version: version, Name: name, SQL: content, Checksum: checksum}, nil
}

func parseName(name string) (int64, error) {
	digits, rest, _ := strings.Cut(name, "_")
	word, isSQL := strings.CutSuffix(rest, ".sql")
	if !isSQL || word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" ||
		strings.Trim(digits, "0123456789") != "" {
		return 0, errors.New("is not the name of a migration: " +
			"it must be like 0001_accounts.sql, with lower-case letters, digits and '_'")
	}
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || version < 1 {
		return 0, errors.New("must begin with a number greater than 0")
	}
	return version, nil
}

// Sequence returns the files in the order of their versions. Two with one version are an error.
func Sequence(files []File) ([]File, error) {
	sorted := slices.SortedStableFunc(slices.Values(files), func(a, b File) int {
		return cmp.Compare(a.Version, b.Version)
	})
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.Version == b.Version {
			return nil, fmt.Errorf("%s and %s have the same number", a.Name, b.Name)
		}
	}
	return sorted, nil
}

// Read returns the files in the root of a file system, in order. All of them must be migrations.
func Read(fsys fs.FS) ([]File, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var files []File
	for _, entry := range entries {
		content, err := fs.ReadFile(fsys, entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		file, err := NewFile(entry.Name(), string(content))
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return Sequence(files)
}
