package database

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/shared"
)

// sharedSettings trade durability for speed.
var sharedSettings = map[string]string{
	"fsync":              "off",
	"full_page_writes":   "off",
	"synchronous_commit": "off",
	"max_connections":    "300",
}

var sharedServer = shared.New[*testServer]("database server")

// testServer is the server of all test databases.
type testServer struct {
	*pgserver.Server

	// template returns the name of the database that New copies. The first call creates it.
	template func() (string, error)
}

func startShared(dir string, migrate Migrate) (*testServer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server, err := StartIn(ctx, dir, sharedSettings)
	if err != nil {
		return nil, err
	}
	template := sync.OnceValues(func() (string, error) { return createTemplate(server, migrate) })
	return &testServer{Server: server, template: template}, nil
}

// createTemplate creates a migrated database. It does not allow connections, because a database in
// use cannot be copied.
func createTemplate(server *pgserver.Server, migrate Migrate) (string, error) {
	const name = "merchstore_template"
	if migrate == nil {
		return "", errors.New("database.With was called without a migration")
	}
	if err := execute(server.URL("postgres"), "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := migrate(ctx, server.URL(name)); err != nil {
		return "", fmt.Errorf("migrate: %w", err)
	}
	return name, execute(server.URL("postgres"), "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
}
