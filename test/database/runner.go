package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"merchstore.io/merchstore/internal/postgres"
)

// sharedSettings trade durability, which no test of the shared server is about, for speed.
var sharedSettings = map[string]string{
	"fsync":              "off",
	"full_page_writes":   "off",
	"synchronous_commit": "off",
	"max_connections":    "300",
}

// current is the runner of this test binary: tests are plain functions, so there is no other way to hand it to them.
var current atomic.Pointer[runner]

type runner struct {
	tests   Runner
	migrate Migrate

	mu       sync.Mutex
	folder   *folder
	server   *postgres.Server
	failed   error // of the server's start, which is not tried twice
	template string
	broken   error // of the template's making, the same
}

// Run runs the tests.
func (r *runner) Run() (code int) {
	if !current.CompareAndSwap(nil, r) {
		fmt.Fprintln(os.Stderr, "database.With is used twice in one test binary")
		return 2
	}
	defer func() {
		current.Store(nil)
		if err := r.close(); err != nil {
			fmt.Fprintln(os.Stderr, "ending the server of test databases:", err)
			code = max(code, 1)
		}
	}()
	return r.tests.Run()
}

func running(t testing.TB) *runner {
	t.Helper()
	r := current.Load()
	if r == nil {
		t.Fatal("test databases need: func TestMain(m *testing.M) { os.Exit(database.With(m, schema.Migrate).Run()) }")
	}
	return r
}

// sharedServer starts the server on the first call.
func (r *runner) sharedServer() (*postgres.Server, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.start()
}

func (r *runner) start() (*postgres.Server, error) {
	if r.server == nil && r.failed == nil {
		r.folder, r.server, r.failed = startIn(sharedSettings)
	}
	if r.failed != nil {
		return nil, r.failed
	}
	if err := r.server.Err(); err != nil {
		return nil, err
	}
	return r.server, nil
}

// migratedTemplate makes, on the first call, the database that New copies. Nobody can connect to it afterwards: a
// database in use can't be copied.
func (r *runner) migratedTemplate() (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.template == "" && r.broken == nil {
		const name = "merchstore_template"
		if r.broken = r.makeTemplate(name); r.broken == nil {
			r.template = name
		}
	}
	return r.template, r.broken
}

func (r *runner) makeTemplate(name string) error {
	if r.migrate == nil {
		return errors.New("database.With was given no migration")
	}
	server, err := r.start()
	if err != nil {
		return err
	}
	if err := execute(server.URL("postgres"), "CREATE DATABASE "+name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := r.migrate(ctx, server.URL(name)); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return execute(server.URL("postgres"), "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
}

func (r *runner) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return nil
	}
	return errors.Join(stop(r.server), r.folder.remove())
}
