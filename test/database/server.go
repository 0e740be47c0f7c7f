package database

import (
	"context"
	"errors"
	"testing"

	"merchstore.io/merchstore/internal/subprocess"
	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/ports"
	"merchstore.io/merchstore/test/shared"
)

// StartServer starts a server for one test, which may stop, kill and restart it. It has
// PostgreSQL's default settings, overridden by settings, and only the database "postgres". It is
// stopped and removed when the test ends. If the test has failed, the end of its log is printed.
// StartServer does not need TestMain.
func StartServer(t testing.TB, settings map[string]string) *pgserver.Server {
	t.Helper()
	return serve(t, func(ctx context.Context, dir string) (*pgserver.Server, error) { return StartIn(ctx, dir, settings) })
}

// serve starts a server in a folder of its own, and stops and removes it when the test ends.
func serve(t testing.TB, start func(ctx context.Context, dir string) (*pgserver.Server, error)) *pgserver.Server {
	t.Helper()
	dir, err := shared.NewFolder()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server, err := start(ctx, dir.Path)
	if err != nil {
		t.Fatalf("start server: %v", errors.Join(err, dir.Remove()))
	}
	t.Cleanup(func() {
		err := stop(server)
		if t.Failed() || err != nil {
			t.Logf("end of the server's log:\n%s", subprocess.Tail(server.LogFile(), 4<<10))
		}
		if err := errors.Join(err, dir.Remove()); err != nil {
			t.Errorf("stop server: %v", err)
		}
	})
	return server
}

// StartIn starts a server on a free port, with its files in the folder dir.
func StartIn(ctx context.Context, dir string, settings map[string]string) (*pgserver.Server, error) {
	free, err := ports.Free(ctx, 1)
	if err != nil {
		return nil, err
	}
	return pgserver.Start(ctx, pgserver.Options{Dir: dir, Port: free[0], Settings: settings})
}

func stop(server *pgserver.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server.Resume() // a paused server cannot stop
	return server.Stop(ctx)
}
