package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/test/certificates"
	"merchstore.io/merchstore/test/database"
)

// TestNewAuthorityIsTrusted replaces the server's certificate by one of another authority, and the
// authority's in the file that sslrootcert names.
func TestNewAuthorityIsTrusted(t *testing.T) {
	t.Parallel()
	server := database.StartServer(t, map[string]string{"fsync": "off"})
	admin := database.Connect(t, server.URL("postgres"))
	dir := t.TempDir()
	replace := func() {
		authority, err := certificates.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		if err := authority.Issue(dir, "db", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for file, written := range map[string]string{"server.crt": "tls.crt", "server.key": "tls.key"} {
			content, err := os.ReadFile(filepath.Join(dir, written))
			if err != nil {
				t.Fatal(err)
			}
			// The server has to own its key.
			database.Exec(t, admin, fmt.Sprintf(`COPY (SELECT unnest(string_to_array('%s', E'\n'))) TO PROGRAM 'umask 077; cat >%s'`,
				strings.TrimSpace(string(content)), file))
		}
		database.Exec(t, admin, `ALTER SYSTEM SET ssl = on`)
		database.Exec(t, admin, `SELECT pg_reload_conf()`)
	}
	replace()
	address, err := url.Parse(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	address.Host = "localhost:" + address.Port()
	address.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {filepath.Join(dir, "ca.crt")}}.Encode()
	db := open(t, address.String())
	for range 2 {
		if err := db.Pool().Ping(t.Context()); err != nil {
			t.Errorf("connect: %v", err)
		}
		if err := db.CheckPrimary(t.Context(), func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }); err != nil {
			t.Errorf("check: %v", err)
		}
		replace()
		db.Pool().Reset()
	}
}
