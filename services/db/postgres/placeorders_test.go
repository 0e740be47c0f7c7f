package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/services/db/shop"
	"merchstore.io/merchstore/test/database"
)

// TestOrdersReadNoOtherKeys plans the statements while PostgreSQL knows that there are neither
// orders nor keys. Then every plan looks cheap, also one that reads all keys.
func TestOrdersReadNoOtherKeys(t *testing.T) {
	t.Parallel()
	server := database.StartServer(t, map[string]string{"fsync": "off", "autovacuum": "off"})
	url := server.URL("postgres")
	if err := schema.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	conn := database.Connect(t, url)
	database.Exec(t, conn, `INSERT INTO users (sid, username, password_hash, role) VALUES ('1', 'buyer', '-', 'customer')`)
	database.Exec(t, conn, `INSERT INTO products (name, price, stock) VALUES ('Hoodie', 1, 10)`)
	database.Exec(t, conn, `VACUUM ANALYZE`)
	database.Exec(t, conn, `SELECT pg_stat_reset()`)
	db := open(t, url)
	const orders = 5
	for i := range orders {
		_, err := placeWithin(t, time.Minute, db, shop.OrderRequest{
			UserID: 1, Token: shop.Token{SID: "1"}, Lines: []shop.Line{{ProductID: 1, Quantity: 1}}, Key: fmt.Sprint("key-", i),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	db.Close() // the connections' counters are written when they end
	for written := 0; written < orders; {
		written = database.Ask[int](t, conn, `SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'idempotency_keys'`)
	}
	rows, err := conn.Query(t.Context(), `SELECT relname || ': ' || seq_scan || ' scans, ' || idx_tup_fetch || ' rows' FROM pg_stat_user_tables
		WHERE relname = 'idempotency_keys' AND seq_scan + idx_tup_fetch > 0 OR relname IN ('orders', 'order_items') AND seq_scan > 0`)
	if err != nil {
		t.Fatal(err)
	}
	read, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(read) > 0 {
		t.Errorf("%d orders with different keys have read %q", orders, read)
	}
}
