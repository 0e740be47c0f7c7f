package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"merchstore.io/merchstore/internal/settings"
)

func parse(t *testing.T, environ ...string) Settings {
	t.Helper()
	s, err := settings.Parse[Settings](environ)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEnvironmentHasOnlyTheSecretsOfTheService(t *testing.T) {
	t.Parallel()
	environ := []string{
		"HOME=/home/peter", "LOGIN_RATE_PER_ADDRESS=7", "GRPC_ADDR=:1", "OPS_ADDR=:2", "JWT_KEYS=old:old", "ADMIN_USERNAME=root",
		"ADMIN_PASSWORD=password of the admin", "KAFKA_SASL_PASSWORD=password of Kafka", "DB_SERVICE_ADDR=:15051",
	}
	w := wiring{settings: parse(t, environ...), databaseURL: "postgres://the/database", jwtKeys: "local:keys"}
	common := []string{
		"HOME=/home/peter", "LOGIN_RATE_PER_ADDRESS=7", "DB_SERVICE_ADDR=127.0.0.1:15051", "LOGGING_SERVICE_ADDR=127.0.0.1:50052",
		"KAFKA_BROKERS=127.0.0.1:9092", "KAFKA_TOPIC=log-channel", "KAFKA_CREATE_TOPIC=true",
	}
	for service, own := range map[string][]string{
		api: {"HTTP_ADDR=127.0.0.1:8081", "OPS_ADDR=127.0.0.1:9101", "GRPC_ADDR=:1", "JWT_KEYS=local:keys"},
		db: {
			"GRPC_ADDR=:15051", "OPS_ADDR=127.0.0.1:9102", "JWT_KEYS=local:keys", "DATABASE_URL=postgres://the/database",
			"ADMIN_USERNAME=root", "ADMIN_PASSWORD=password of the admin",
		},
		logging: {"GRPC_ADDR=127.0.0.1:50052", "OPS_ADDR=127.0.0.1:9103", "KAFKA_SASL_PASSWORD=password of Kafka", "JWT_KEYS=local:keys"},
	} {
		want := slices.Sorted(slices.Values(append(own, common...)))
		if got := w.environment(service, environ); !slices.Equal(got, want) {
			t.Errorf("environment of %s is\n%q, want\n%q", service, got, want)
		}
	}
}

func TestCheckPortsReportsAPortInUse(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	err = checkPorts(t.Context(), []listener{
		{"the REST service", l.Addr().String(), "HTTP_ADDR", l.Addr().String()},
		{"Kafka", l.Addr().String()[:len("127.0.0.1:")] + fmt.Sprint(port+1), "KAFKA_PORT", fmt.Sprint(port + 1)},
	})
	want := fmt.Sprintf("Port %d, needed for the REST service, is in use by another program.\n", port)
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "\n\n  make run HTTP_ADDR=127.0.0.1:") {
		t.Errorf("error is %v", err)
	}
}

func TestSeveralPortsInUseAreReportedTogether(t *testing.T) {
	t.Parallel()
	inUse := []listener{
		{"the REST service", ":8081", "HTTP_ADDR", ":8081"},
		{"PostgreSQL", "127.0.0.1:5432", "POSTGRES_PORT", "5432"},
		{"Kafka", "127.0.0.1:9092", "KAFKA_PORT", "9092"},
	}
	free := map[string]int{"HTTP_ADDR": 8082, "POSTGRES_PORT": 5433}
	got := describePortsInUse(inUse, func(l listener) int { return free[l.setting] })
	want := `Port 8081, needed for the REST service, is in use by another program.
Port 5432, needed for PostgreSQL, is in use by another program.
Port 9092, needed for Kafka, is in use by another program.
Stop that program, or choose another port:

  make run HTTP_ADDR=:8082 POSTGRES_PORT=5433 KAFKA_PORT=…`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCheckPortsRejectsTwoListenersOnOnePort(t *testing.T) {
	t.Parallel()
	err := checkPorts(t.Context(), []listener{
		{"the REST service", "127.0.0.1:29999", "HTTP_ADDR", "127.0.0.1:29999"},
		{"Kafka", "127.0.0.1:29999", "KAFKA_PORT", "29999"},
	})
	if err == nil || err.Error() != "port 29999 is used for both the REST service and Kafka: set KAFKA_PORT to another one" {
		t.Errorf("error is %v", err)
	}
}

func TestValidateRejectsInvalidAddresses(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"HTTP_ADDR=8081", "HTTP_ADDR=:0", "POSTGRES_PORT=70000", "KAFKA_PORT=-1", "DB_SERVICE_ADDR=localhost"} {
		name, value, _ := strings.Cut(wrong, "=")
		_, err := settings.Parse[Settings]([]string{wrong})
		if err == nil || !strings.Contains(err.Error(), name+`: "`+value+`" is not`) {
			t.Errorf("%s: error is %v", wrong, err)
		}
	}
}

func TestDefaultFolder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		uid           int
		working, want string
	}{
		{1000, "/home/peter/merchstore", "/home/peter/merchstore/.data"},
		{0, "/root/merchstore", "/var/lib/merchstore/root-merchstore"},
		{0, "/", "/var/lib/merchstore/root"},
	} {
		if got := defaultFolder(c.uid, c.working); got != c.want {
			t.Errorf("user %d in %s: %s, want %s", c.uid, c.working, got, c.want)
		}
	}
}

func TestFolderIsPrivateAndLocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "data")
	f, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := f.jwtKeys()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.jwtKeys(); err != nil || again != keys {
		t.Errorf("the keys have changed: %v", err)
	}
	info, err := os.Stat(filepath.Join(path, "jwt-keys"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file of the keys: %v, %v", info.Mode(), err)
	}
	if _, err := openFolder(path); err == nil || !strings.Contains(err.Error(), "the store already runs on the data in "+path) {
		t.Errorf("a second run: %v", err)
	}
	f.close()
	if f, err = openFolder(path); err != nil {
		t.Fatal(err)
	}
	f.close()
}

func TestCheckDatabaseReportsAnUnusableDatabase(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://peter:secret@127.0.0.1:1/store":    "DATABASE_URL: PostgreSQL at 127.0.0.1:1 does not respond",
		"postgres://peter:secret@127.0.0.1:many/store": "DATABASE_URL cannot be parsed",
	} {
		err := checkDatabase(context.Background(), url)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
