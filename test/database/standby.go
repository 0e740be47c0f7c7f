package database

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/postgres"
)

// StartPair starts a server and a synchronous standby of it: a commit on the primary waits until the standby has it on disk.
// When the test ends both are stopped and removed.
func StartPair(t testing.TB) (primary, standby *postgres.Server) {
	t.Helper()
	primary = StartServer(t, map[string]string{Synchronous: "ANY 1 (standby)"})
	folder, err := makeFolder()
	if err != nil {
		t.Fatalf("making the standby's folder: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	standby, err = Follow(ctx, primary, folder.path)
	if err != nil {
		t.Fatalf("starting a standby: %v", errors.Join(err, folder.remove()))
	}
	t.Cleanup(func() { endServer(t, standby, folder) })
	return primary, standby
}

// Synchronous is the setting that makes a server's commits wait for standbys. Follow's is called "standby".
const Synchronous = "synchronous_standby_names"

// Follow starts a standby of primary in the folder dir, and returns once it has a commit of the primary.
func Follow(ctx context.Context, primary *postgres.Server, dir string) (*postgres.Server, error) {
	source, err := url.Parse(primary.URL("postgres"))
	if err != nil {
		return nil, fmt.Errorf("reading the primary's address: %w", err)
	}
	password, _ := source.User.Password()
	query := source.Query()
	query.Set("application_name", "standby")
	source.RawQuery = query.Encode()
	backup := exec.CommandContext(ctx, "pg_basebackup", "--pgdata="+filepath.Join(dir, "data"), "--write-recovery-conf",
		"--checkpoint=fast", "--no-sync", "--dbname="+source.String())
	if output, err := backup.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copying the primary: %w\n%s", err, output)
	}
	standby, err := postgres.Start(ctx, postgres.Options{Dir: dir, Password: password})
	if err != nil {
		return nil, err
	}
	if err := awaitCommit(ctx, primary); err != nil {
		return nil, errors.Join(err, stop(standby))
	}
	return standby, nil
}

// awaitCommit commits something on the primary, which returns once the standby has it.
func awaitCommit(ctx context.Context, primary *postgres.Server) error {
	conn, err := pgx.Connect(ctx, primary.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connecting to the primary: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `SELECT pg_logical_emit_message(true, '', '')`); err != nil {
		return fmt.Errorf("waiting for the standby: %w", err)
	}
	return nil
}

// Promote makes a standby a primary.
func Promote(t testing.TB, standby *postgres.Server) {
	t.Helper()
	if err := execute(standby.URL("postgres"), "SELECT pg_promote()"); err != nil {
		t.Fatalf("promoting the standby: %v", err)
	}
}
