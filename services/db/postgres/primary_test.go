package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/postgres"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/services/db/shop"
	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/database"
)

// TestCheckPrimaryFallsBackToOpenConnections changes the password under the pool, as a rotation
// does.
func TestCheckPrimaryFallsBackToOpenConnections(t *testing.T) {
	t.Parallel()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	db := open(t, server.URL("postgres"))
	ping := func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }
	if err := db.CheckPrimary(t.Context(), ping); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool().Exec(t.Context(), `ALTER ROLE `+pgserver.User+` PASSWORD 'another'`); err != nil {
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

// TestReplaysWaitForTheStandby replays an order alone, in a batch with a new order, and after its
// product was deleted, so that its row cannot be locked. None may succeed while the standby is
// stopped.
func TestReplaysWaitForTheStandby(t *testing.T) {
	t.Parallel()
	primary, standby := database.StartPair(t)
	if err := schema.Migrate(t.Context(), primary.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	db := open(t, primary.URL("postgres"))
	ping := func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }
	if err := db.CheckPrimary(t.Context(), ping); err != nil {
		t.Fatal(err)
	}
	buyer, err := db.CreateUser(t.Context(), shop.NewUser{SID: "1", Username: "buyer", PasswordHash: "-"})
	if err != nil {
		t.Fatal(err)
	}
	hoodie, err := db.CreateProduct(t.Context(), buyer.ID, shop.NewProduct{Name: "Hoodie", Price: 100, Stock: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	withKey := func(key string) shop.OrderRequest {
		return shop.OrderRequest{
			UserID: buyer.ID, Token: shop.Token{SID: buyer.SID}, Lines: []shop.Line{{ProductID: hoodie.ID, Quantity: 1}}, Key: key,
		}
	}
	first, err := db.PlaceOrders(t.Context(), []shop.OrderRequest{withKey("first")})
	if err != nil {
		t.Fatal(err)
	}
	if err := standby.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, requests := range map[string][]shop.OrderRequest{
		"a replay alone":            {withKey("first")},
		"a replay with a new order": {withKey("first"), withKey("second")},
	} {
		if outcomes, err := placeWithin(t, time.Second, db, requests...); err == nil {
			t.Errorf("%s succeeded without the standby: %+v", name, outcomes)
		}
	}
	// The deletion is committed although the call fails.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := db.DeleteProduct(ctx, buyer.ID, hoodie.ID, nil); err == nil {
		t.Error("a deletion succeeded without the standby")
	}
	if outcomes, err := placeWithin(t, time.Second, db, withKey("first")); err == nil {
		t.Errorf("a replay with a deleted product succeeded without the standby: %+v", outcomes)
	}

	if err := standby.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	outcomes, err := placeWithin(t, time.Minute, db, withKey("first"), withKey("third"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := outcomes[0].Order.ID, first[0].Order.ID; got != want || !outcomes[0].Replayed {
		t.Errorf("the key has order %d (replayed: %t), want %d", got, outcomes[0].Replayed, want)
	}
	if !errors.Is(outcomes[1].Failure, shop.ErrProductNotFound) {
		t.Errorf("an order of a deleted product: %v", outcomes[1].Failure)
	}
}

func placeWithin(t *testing.T, limit time.Duration, db *postgres.DB, requests ...shop.OrderRequest) ([]shop.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return db.PlaceOrders(ctx, requests)
}

func open(t *testing.T, url string) *postgres.DB {
	t.Helper()
	s, err := settings.Parse[postgres.Settings]([]string{"DATABASE_URL=" + url, "DB_MIN_CONNS=0"})
	if err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), s, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// TestFindsThePrimaryAmongSeveralHosts lists a host that hangs and a standby before the primary.
func TestFindsThePrimaryAmongSeveralHosts(t *testing.T) {
	t.Parallel()
	primary, standby := database.StartPair(t)
	hangs, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	u, err := url.Parse(primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = fmt.Sprintf("%s,127.0.0.1:%d,%s", hangs.Addr(), standby.Port(), u.Host)
	db := open(t, u.String())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // that of a readiness check
	defer cancel()
	if err := db.CheckPrimary(ctx, func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }); err != nil {
		t.Error(err)
	}
	if _, err := db.Pool().Exec(t.Context(), `CREATE TABLE written (id integer)`); err != nil {
		t.Errorf("the pool is not connected to the primary: %v", err)
	}
}
