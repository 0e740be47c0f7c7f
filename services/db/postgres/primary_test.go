package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	postgresserver "merchstore.io/merchstore/internal/postgres"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/postgres"
	"merchstore.io/merchstore/test/database"
)

// The test changes the password under the pool, as a rotation does.
func TestCheckPrimaryFallsBackToOpenConnections(t *testing.T) {
	t.Parallel()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	s, err := settings.Parse[postgres.Settings]([]string{"DATABASE_URL=" + server.URL("postgres"), "DB_MIN_CONNS=0"})
	if err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), s, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ping := func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }
	if err := db.CheckPrimary(t.Context(), ping); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool().Exec(t.Context(), `ALTER ROLE `+postgresserver.User+` PASSWORD 'another'`); err != nil {
		t.Fatal(err)
	}
	if err := db.CheckPrimary(t.Context(), ping); err != nil {
		t.Errorf("CheckPrimary with an open connection: %v", err)
	}
	db.Pool().Reset()
	if err := db.CheckPrimary(t.Context(), ping); err == nil {
		t.Error("CheckPrimary succeeds without any connection")
	}
}
