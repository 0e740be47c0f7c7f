package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"merchstore.io/merchstore/internal/postgres"
)

const (
	databaseName   = "merchstore"
	connectTimeout = 10 * time.Second
)

// startPostgres starts a server of our own, with the store's database in it.
func startPostgres(ctx context.Context, dir string, port int) (*postgres.Server, error) {
	server, err := postgres.Start(ctx, postgres.Options{Dir: dir, Port: port})
	switch {
	case errors.Is(err, postgres.ErrUnreachable), errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w\nChoose another folder with DATA_DIR=…", err)
	case err != nil:
		return nil, err //nolint:wrapcheck // a whole sentence
	}
	if err := createDatabase(ctx, server.URL("postgres")); err != nil {
		return server, err
	}
	return server, nil
}

func createDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("create the store's database: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+databaseName)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P04" { // duplicate_database: that of the run before
		return nil
	}
	if err != nil {
		return fmt.Errorf("create the store's database: %w", err)
	}
	return nil
}

// checkDatabase says plainly why a database that was named can't be used, before services fail over it.
func checkDatabase(ctx context.Context, url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("DATABASE_URL can't be read: %w", err) // pgx leaves the password out
	}
	config.ConnectTimeout = connectTimeout
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return databaseFailure(config, err)
	}
	return conn.Close(ctx) //nolint:wrapcheck // it could be used
}

func databaseFailure(config *pgx.ConnConfig, err error) error {
	where := fmt.Sprintf("%s:%d", config.Host, config.Port)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return fmt.Errorf("DATABASE_URL: no PostgreSQL answers at %s: %w", where, err)
	}
	switch refused.Code {
	case "3D000": // invalid_catalog_name
		return fmt.Errorf("DATABASE_URL: there is no database %q at %s. Create it first:\n\n  createdb -h %s -p %d -U %s %s",
			config.Database, where, config.Host, config.Port, config.User, config.Database)
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		return fmt.Errorf("DATABASE_URL: PostgreSQL at %s does not let user %q in: %s", where, config.User, refused.Message)
	default:
		return fmt.Errorf("DATABASE_URL: PostgreSQL at %s says: %w", where, err)
	}
}
