package database_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"merchstore.io/merchstore/test/database"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(database.With(m, migrate)) }

// migrate replaces the store's migrations.
func migrate(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item text NOT NULL)")
	return errors.Join(err, conn.Close(ctx))
}

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			one, two := database.Connect(t, database.New(t)), database.Connect(t, database.New(t))
			database.Exec(t, one, "INSERT INTO orders (item) VALUES ('mug')")
			if n := database.Ask[int](t, one, "SELECT count(*) FROM orders"); n != 1 {
				t.Errorf("%d orders in the first database, want 1", n)
			}
			if n := database.Ask[int](t, two, "SELECT count(*) FROM orders"); n != 0 {
				t.Errorf("%d orders in the second database, want none", n)
			}
		})
	}
}

func TestEmptyDatabaseHasNoTables(t *testing.T) {
	t.Parallel()
	conn := database.Connect(t, database.Empty(t))
	if n := database.Ask[int](t, conn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n != 0 {
		t.Errorf("%d tables, want none", n)
	}
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	watch := database.Connect(t, database.Empty(t))
	var name string
	t.Run("a test", func(t *testing.T) {
		address, err := url.Parse(database.New(t))
		if err != nil {
			t.Fatal(err)
		}
		name = address.Path[1:]
		if n := database.Ask[int](t, watch, "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'"); n != 1 {
			t.Errorf("database %s does not exist", name)
		}
	})
	if n := database.Ask[int](t, watch, "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'"); n != 0 {
		t.Errorf("database %s still exists", name)
	}
}

func TestStartServerIsIndependentOfTheSharedServer(t *testing.T) {
	t.Parallel()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	other := database.Connect(t, database.Empty(t))
	conn := database.Connect(t, server.URL("postgres"))
	database.Exec(t, conn, "CREATE TABLE kept (id int)")
	server.Kill()
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a killed server responds")
	}
	if n := database.Ask[int](t, other, "SELECT 1"); n != 1 {
		t.Error("the shared server does not respond")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := database.Ask[int](t, database.Connect(t, server.URL("postgres")), "SELECT count(*) FROM kept"); n != 0 {
		t.Errorf("%d rows in an empty table", n)
	}
}

func TestFoldersOfCrashedRunsAreRemoved(t *testing.T) {
	t.Parallel()
	abandoned, err := os.MkdirTemp("", "merchstore-test-")
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(abandoned, "in-use")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(mark, past, past); err != nil {
		t.Fatal(err)
	}
	database.StartServer(t, map[string]string{"fsync": "off"})
	if _, err := os.Stat(abandoned); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", abandoned, err)
	}
}

func BenchmarkNew(b *testing.B) {
	database.New(b) // the server and the template
	for b.Loop() {
		database.New(b)
	}
}

func BenchmarkStartServer(b *testing.B) {
	for b.Loop() {
		database.StartServer(b, map[string]string{"fsync": "off"})
	}
}
