package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"merchstore.io/merchstore/services/local/pgserver"
)

const (
	databaseName   = "merchstore"
	connectTimeout = 10 * time.Second
)

// startPostgres starts a server and creates the store's database in it.
func startPostgres(ctx context.Context, dir string, port int) (*pgserver.Server, error) {
	server, err := pgserver.Start(ctx, pgserver.Options{Dir: dir, Port: port})
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w\nChoose another folder with DATA_DIR=…", err)
	}
	if err != nil {
		return nil, err
	}
	return server, createDatabase(ctx, server.URL("postgres"))
}

func createDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("create the store's database: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+databaseName)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P04" { // duplicate_database: created by an earlier run
		return nil
	}
	if err != nil {
		return fmt.Errorf("create the store's database: %w", err)
	}
	return nil
}

// checkDatabase returns a helpful error if a configured database cannot be used, before services
// fail because of it.
func checkDatabase(ctx context.Context, url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("DATABASE_URL cannot be parsed: %w", err) // pgx omits the password
	}
	config.ConnectTimeout = connectTimeout
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return describeFailure(config, err)
	}
	return conn.Close(ctx)
}

func describeFailure(config *pgx.ConnConfig, err error) error {
	addr := fmt.Sprintf("%s:%d", config.Host, config.Port)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return fmt.Errorf("DATABASE_URL: PostgreSQL at %s does not respond: %w", addr, err)
	}
	switch refused.Code {
	case "3D000": // invalid_catalog_name
		return fmt.Errorf("DATABASE_URL: database %q does not exist at %s. Create it first:\n\n  createdb -h %s -p %d -U %s %s",
			config.Database, addr, config.Host, config.Port, config.User, config.Database)
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		return fmt.Errorf("DATABASE_URL: PostgreSQL at %s rejects user %q: %s", addr, config.User, refused.Message)
	default:
		return fmt.Errorf("DATABASE_URL: PostgreSQL at %s: %w", addr, err)
	}
}
