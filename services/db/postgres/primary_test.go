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

	postgresserver "merchstore.io/merchstore/internal/postgres"
	"merchstore.io/merchstore/internal/settings"
	"merchstore.io/merchstore/services/db/postgres"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/services/db/shop"
	"merchstore.io/merchstore/test/database"
)

// TestOpenConnectionsServeWhileTheServerRefusesFreshOnes changes the password under the pool, as a rotation does.
func TestOpenConnectionsServeWhileTheServerRefusesFreshOnes(t *testing.T) {
	t.Parallel()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	db := open(t, server.URL("postgres"))
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

// TestReplaysWaitForTheStandby has replays alone, beside a new order, and of products that are gone, whose rows cannot be
// locked. None may be answered while the standby is away.
func TestReplaysWaitForTheStandby(t *testing.T) {
	t.Parallel()
	primary, standby := database.StartPair(t)
	if err := schema.Migrate(t.Context(), primary.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	db := open(t, primary.URL("postgres"))
	ask := func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }
	if err := db.CheckPrimary(t.Context(), ask); err != nil {
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
	keyed := func(key string) shop.Placement {
		return shop.Placement{
			UserID: buyer.ID, UserSID: buyer.SID, Lines: []shop.Line{{ProductID: hoodie.ID, Quantity: 1}}, Key: key,
		}
	}
	first, err := db.PlaceOrders(t.Context(), []shop.Placement{keyed("first")})
	if err != nil {
		t.Fatal(err)
	}
	if err := standby.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, group := range map[string][]shop.Placement{
		"a replay alone":              {keyed("first")},
		"a replay beside a new order": {keyed("first"), keyed("second")},
	} {
		if outcomes, err := placeWithin(t, time.Second, db, group...); err == nil {
			t.Errorf("%s was answered without the standby: %+v", name, outcomes)
		}
	}
	// The deletion is committed, though it is not waited for.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := db.DeleteProduct(ctx, hoodie.ID, nil); err == nil {
		t.Error("a deletion was answered without the standby")
	}
	if outcomes, err := placeWithin(t, time.Second, db, keyed("first")); err == nil {
		t.Errorf("a replay of a product that is gone was answered without the standby: %+v", outcomes)
	}

	if err := standby.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	outcomes, err := placeWithin(t, time.Minute, db, keyed("first"), keyed("third"))
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

func placeWithin(t *testing.T, limit time.Duration, db *postgres.DB, group ...shop.Placement) ([]shop.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return db.PlaceOrders(ctx, group)
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

// TestOfSeveralHostsThePrimaryIsFound names a host that hangs and a standby before the primary.
func TestOfSeveralHostsThePrimaryIsFound(t *testing.T) {
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // as a readiness check has
	defer cancel()
	if err := db.CheckPrimary(ctx, func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }); err != nil {
		t.Error(err)
	}
	if _, err := db.Pool().Exec(t.Context(), `CREATE TABLE written (id integer)`); err != nil {
		t.Errorf("the pool's connection is not to the primary: %v", err)
	}
}
