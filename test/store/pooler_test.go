package store

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/program"
	"merchstore.io/merchstore/test/stack"
)

// TestPgBouncer puts PgBouncer, in session mode, between the DB service and PostgreSQL.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(*testing.T, *store){
		"version 1": goThroughVersion1, "pictures, which need the job queue": uploadPicture,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			use(t, start(t, func(o *stack.Options) { o.DatabaseURL = pool(t, o.DatabaseURL) }))
		})
	}
}

// pool starts a PgBouncer and returns the address of a database behind it.
func pool(t *testing.T, address string) string {
	t.Helper()
	server, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	free, err := ports.Free(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	password, _ := server.User.Password()
	config := fmt.Sprintf("[databases]\n* = host=%s port=%s user=%s password='%s'\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\n"+
		"unix_socket_dir=\nauth_type=any\npool_mode=session\n", server.Hostname(), server.Port(), server.User.Username(), password, free[0])
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{file}
	if os.Geteuid() == 0 { // which it refuses to run as
		args = append(args, "-u", "nobody")
	}
	bouncer := program.Program{
		AnyExit: true, // it exits with 1 after SIGTERM
		Name:    "PgBouncer", LogFile: filepath.Join(dir, "log"), Command: subprocess.Command{Path: "/usr/sbin/pgbouncer", Args: args, Dir: dir},
	}
	server.Host = fmt.Sprintf("127.0.0.1:%d", free[0])
	bouncer.Ready = func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, server.String())
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	if err := bouncer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bouncer.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server.String()
}
