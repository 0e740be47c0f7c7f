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

// TestOpenConnectionsServeWhileTheServerRefusesFreshOnes changes the password under the pool, as a rotation does.
func TestOpenConnectionsServeWhileTheServerRefusesFreshOnes(t *testing.T) {
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
	ask := func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }
	if err := db.CheckPrimary(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool().Exec(t.Context(), `ALTER ROLE `+postgresserver.User+` PASSWORD 'another'`); err != nil {
		t.Fatal(err)
	}
	if err := db.CheckPrimary(t.Context(), ask); err != nil {
		t.Errorf("an open connection would serve, but the check fails: %v", err)
	}
	db.Pool().Reset()
	if err := db.CheckPrimary(t.Context(), ask); err == nil {
		t.Error("no connection can be had, but the check passes")
	}
}
