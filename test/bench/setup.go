package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"merchstore.io/merchstore/internal/token"
	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/kafka"
	"merchstore.io/merchstore/test/ports"
)

// open starts the servers and the store.
func (b *bench) open(ctx context.Context) (err error) {
	if b.server, err = database.StartIn(ctx, filepath.Join(b.dir, "postgres"), nil); err != nil {
		return err
	}
	if b.broker, err = kafka.Start(ctx, filepath.Join(b.dir, "kafka")); err != nil {
		return err
	}
	if b.keys, err = token.ParseKeys(jwtKeys); err != nil {
		return err
	}
	names := []string{"api", "db", "logging", "api-ops", "db-ops", "logging-ops", "bare", "bare-gin", "bare-rpc", "operator-ops"}
	free, err := ports.Free(ctx, len(names))
	if err != nil {
		return err
	}
	for i, name := range names {
		b.addrs[name] = fmt.Sprintf("127.0.0.1:%d", free[i])
	}
	for _, name := range []string{"merchstore", "pgbench"} {
		if b.users, err = makeDatabase(ctx, b.server, name, schema.Migrate); err != nil {
			return err
		}
	}
	for i := range b.users {
		u := &b.users[i]
		if u.token, err = b.keys.Sign(token.Account{ID: u.id, SID: u.sid, Username: u.username, Role: token.RoleCustomer}, time.Hour); err != nil {
			return err
		}
	}
	if err := b.startLogging(ctx); err != nil {
		return err
	}
	if err := b.startDB(ctx); err != nil {
		return err
	}
	for _, name := range []string{"api", "db", "logging"} {
		fmt.Printf("profile %s: http://%s/debug/pprof/profile\n", name, b.addrs[name+"-ops"])
	}
	return b.startAPIOf(ctx, "")
}

// makeDatabase creates a database with three products that never sell out, and returns its buyers.
func makeDatabase(ctx context.Context, server *pgserver.Server, name string, migrate func(ctx context.Context, url string) error) ([]account, error) {
	admin, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer admin.Close(ctx)
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	if err := migrate(ctx, server.URL(name)); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, server.URL(name))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `INSERT INTO products (name, description, category, slogan, price, stock)
		SELECT 'SUSTech Hoodie', 'Heavy cotton hoodie in university blue, with the emblem stitched on the chest. Unisex.',
			'clothing', 'Warm on the coldest day of the Shenzhen winter.', 199.00, 1000000000 FROM generate_series(1, 3)`)
	if err != nil {
		return nil, fmt.Errorf("create products: %w", err)
	}
	rows, err := conn.Query(ctx, `INSERT INTO users (sid, username, password_hash, role)
		SELECT 's' || i, 'buyer' || i, '', 'customer' FROM generate_series(1, $1) i RETURNING id, sid, username`, buyers)
	if err != nil {
		return nil, fmt.Errorf("create buyers: %w", err)
	}
	users, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (u account, err error) {
		err = row.Scan(&u.id, &u.sid, &u.username)
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("create buyers: %w", err)
	}
	return users, nil
}

func (b *bench) startLogging(ctx context.Context) error { return b.startLoggingOf(ctx, "") }

func (b *bench) startDB(ctx context.Context, env ...string) error {
	return b.startDBOf(ctx, "", env...)
}

// startStack starts another set of the three services. Their names get a suffix, and env has
// additional settings for all of them.
func (b *bench) startStack(ctx context.Context, of string, env ...string) error {
	names := []string{"api", "db", "logging", "api-ops", "db-ops", "logging-ops"}
	free, err := ports.Free(ctx, len(names))
	if err != nil {
		return err
	}
	for i, name := range names {
		b.addrs[name+of] = fmt.Sprintf("127.0.0.1:%d", free[i])
	}
	if err := b.startLoggingOf(ctx, of, env...); err != nil {
		return err
	}
	if err := b.startDBOf(ctx, of, env...); err != nil {
		return err
	}
	return b.startAPIOf(ctx, of, env...)
}

func (b *bench) stopStack(of string) error {
	return errors.Join(b.programs.stop("api"+of), b.programs.stop("db"+of), b.programs.stop("logging"+of))
}

func (b *bench) startLoggingOf(ctx context.Context, of string, env ...string) error {
	return b.programs.start(ctx, "logging"+of, "", b.addrs["logging-ops"+of], b.program("logging", of), nil, append([]string{
		"GRPC_ADDR=" + b.addrs["logging"+of], "OPS_ADDR=" + b.addrs["logging-ops"+of], "KAFKA_BROKERS=" + b.broker.Addr(),
		"KAFKA_TOPIC=" + topic, "KAFKA_CREATE_TOPIC=true", "DB_SERVICE_ADDR=" + byName(b.addrs["db"+of]), "PROFILING=true",
		"JWT_KEYS=" + jwtKeys,
	}, env...)...)
}

func (b *bench) startDBOf(ctx context.Context, of string, env ...string) error {
	return b.programs.start(ctx, "db"+of, "", b.addrs["db-ops"+of], b.program("db", of), nil, append([]string{
		"GRPC_ADDR=" + b.addrs["db"+of], "OPS_ADDR=" + b.addrs["db-ops"+of], "DATABASE_URL=" + b.server.URL(b.database(of)),
		"JWT_KEYS=" + jwtKeys, "LOGGING_SERVICE_ADDR=" + byName(b.addrs["logging"+of]), "PROFILING=true",
		"PASSWORD_QUEUE_PER_ACCOUNT=16", "ORDERS_PER_MINUTE=0", "SEARCHES_PER_MINUTE=0", "PICTURE_BYTES_PER_HOUR=0", "PRODUCTS_PER_HOUR=0",
	}, env...)...)
}

func (b *bench) startAPIOf(ctx context.Context, of string, env ...string) error {
	return b.programs.start(ctx, "api"+of, "", b.addrs["api-ops"+of], b.program("api", of), nil, append([]string{
		"HTTP_ADDR=" + b.addrs["api"+of], "OPS_ADDR=" + b.addrs["api-ops"+of], "DB_SERVICE_ADDR=" + byName(b.addrs["db"+of]),
		"LOGGING_SERVICE_ADDR=" + byName(b.addrs["logging"+of]), "JWT_KEYS=" + jwtKeys, "PROFILING=true",
		"LOGIN_RATE_PER_ACCOUNT=0", "LOGIN_RATE_PER_ADDRESS=0", "SIGNUP_RATE_PER_ADDRESS=0",
	}, env...)...)
}

// byName returns an address with the name that certificates have.
func byName(addr string) string { return strings.Replace(addr, "127.0.0.1", "localhost", 1) }

func (b *bench) close() error {
	errs := []error{b.programs.stopAll()}
	if b.broker != nil {
		errs = append(errs, b.broker.Stop())
	}
	if b.server != nil {
		errs = append(errs, stopServer(b.server))
	}
	return errors.Join(errs...)
}
