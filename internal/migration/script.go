package migration

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"

	"github.com/pressly/goose/v3"
)

// Script is what a file does on the way up.
type Script struct {
	// Statements are sent to the server one by one, as goose has cut them.
	Statements []string
	// NoTransaction: they do not run in a transaction.
	NoTransaction bool
}

// Script parses the file. The error is a sentence that begins with its name.
func (f File) Script(ctx context.Context) (Script, error) {
	if strings.ContainsRune(f.SQL, 0) {
		return Script{}, fmt.Errorf("%s has a NUL byte, at which PostgreSQL would stop reading", f.Name)
	}
	if substitutes(f.SQL) {
		return Script{}, fmt.Errorf("%s uses '+goose ENVSUB': what a migration does must not depend on who runs it", f.Name)
	}
	recorder := &recorder{script: Script{NoTransaction: true}}
	db := sql.OpenDB(recorder)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, f.fs(),
		goose.WithDisableVersioning(true), goose.WithDisableGlobalRegistry(true))
	if err == nil {
		_, err = provider.ApplyVersion(ctx, f.Version, true)
	}
	switch {
	case err == nil:
		return recorder.script, nil
	case strings.Contains(err.Error(), "missing semicolon"): // goose would quote the rest of the file
		return Script{}, fmt.Errorf("%s has a statement that does not end with a semicolon at the end of a line", f.Name)
	case strings.Contains(err.Error(), "must start with '-- +goose Up'"):
		return Script{}, fmt.Errorf("%s has no line '-- +goose Up' before its first statement", f.Name)
	}
	if _, own, found := strings.Cut(err.Error(), "failed to parse "+f.Name+": "); found { // without the names of goose's own steps
		err = errors.New(own)
	}
	return Script{}, fmt.Errorf("%s can not be read: %w", f.Name, err)
}

// fs is a file system with just this file: goose reads from nothing else.
func (f File) fs() fs.FS { return fstest.MapFS{f.Name: {Data: []byte(f.SQL)}} }

// substitutes tells whether goose would put environment variables into the SQL. Annotations are read as goose does.
func substitutes(content string) bool {
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "--") || !strings.Contains(line, "+goose") {
			continue
		}
		if strings.Contains(strings.ToUpper(strings.ReplaceAll(line, "--", "")), "ENVSUB") {
			return true
		}
	}
	return false
}

// recorder is a database driver that writes down what it is told to execute. goose keeps its parser to itself, but runs what it has
// parsed on any driver: so this is exactly what it will run.
type recorder struct{ script Script }

func (r *recorder) Connect(context.Context) (driver.Conn, error) { return r, nil }
func (r *recorder) Driver() driver.Driver                        { return r }
func (r *recorder) Open(string) (driver.Conn, error)             { return r, nil }
func (r *recorder) Close() error                                 { return nil }
func (r *recorder) Commit() error                                { return nil }
func (r *recorder) Rollback() error                              { return nil }
func (r *recorder) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }

func (r *recorder) Begin() (driver.Tx, error) {
	r.script.NoTransaction = false
	return r, nil
}

func (r *recorder) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	r.script.Statements = append(r.script.Statements, query)
	return driver.ResultNoRows, nil
}
