package database

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/local/pgserver"
)

// StartPair starts a server and a synchronous standby: commits on the primary wait until the
// standby has flushed them. Both are stopped and removed when the test ends.
func StartPair(t testing.TB) (primary, standby *pgserver.Server) {
	t.Helper()
	primary = StartServer(t, map[string]string{Synchronous: "ANY 1 (standby)"})
	standby = serve(t, func(ctx context.Context, dir string) (*pgserver.Server, error) { return Follow(ctx, primary, dir) })
	return primary, standby
}

// Synchronous is the name of the setting that makes commits wait for standbys. Follow names its
// standby "standby".
const Synchronous = "synchronous_standby_names"

// Follow starts a standby of primary in the folder dir, and returns once it has replicated a
// commit.
func Follow(ctx context.Context, primary *pgserver.Server, dir string) (*pgserver.Server, error) {
	source, err := url.Parse(primary.URL("postgres"))
	if err != nil {
		return nil, fmt.Errorf("parse URL of the primary: %w", err)
	}
	password, _ := source.User.Password()
	query := source.Query()
	query.Set("application_name", "standby")
	source.RawQuery = query.Encode()
	backup := exec.CommandContext(ctx, "pg_basebackup", "--pgdata="+filepath.Join(dir, "data"), "--write-recovery-conf",
		"--checkpoint=fast", "--no-sync", "--dbname="+source.String())
	if output, err := backup.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, output)
	}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600); err != nil {
		return nil, fmt.Errorf("store password: %w", err)
	}
	standby, err := StartIn(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	if err := awaitCommit(ctx, primary); err != nil {
		return nil, errors.Join(err, stop(standby))
	}
	return standby, nil
}

// awaitCommit commits a transaction on the primary, which waits for the synchronous standby.
func awaitCommit(ctx context.Context, primary *pgserver.Server) error {
	conn, err := pgx.Connect(ctx, primary.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the primary: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `SELECT pg_logical_emit_message(true, '', '')`); err != nil {
		return fmt.Errorf("wait for the standby: %w", err)
	}
	return nil
}

// Promote promotes a standby to a primary.
func Promote(t testing.TB, standby *pgserver.Server) {
	t.Helper()
	if err := execute(standby.URL("postgres"), "SELECT pg_promote()"); err != nil {
		t.Fatalf("promote the standby: %v", err)
	}
}
