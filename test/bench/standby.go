package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"merchstore.io/merchstore/services/db/schema"
	"merchstore.io/merchstore/services/local/pgserver"
	"merchstore.io/merchstore/test/database"
)

// standby measures orders on one PostgreSQL server and on one whose commits wait for a standby, in
// turns; in groups, and in groups of one. All servers are on this machine, so a commit waits for a
// second disk flush, but not for a network.
func (b *bench) standby(ctx context.Context) (err error) {
	primary, err := database.StartIn(ctx, filepath.Join(b.dir, "primary"), map[string]string{database.Synchronous: "ANY 1 (standby)"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopServer(primary)) }()
	follower, err := database.Follow(ctx, primary, filepath.Join(b.dir, "standby"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopServer(follower)) }()
	if _, err := makeDatabase(ctx, primary, "merchstore", schema.Migrate); err != nil { // has the same buyers
		return err
	}
	for _, group := range []struct{ name, size string }{{"in groups", "200"}, {"in groups of one", "1"}} {
		for i, server := range []*pgserver.Server{b.server, primary} {
			if err := b.startStack(ctx, of(i), "DATABASE_URL="+server.URL("merchstore"), "ORDER_BATCH_SIZE="+group.size); err != nil {
				return err
			}
		}
		variants := []string{group.name + ", one server", group.name + ", with a synchronous standby"}
		if err := b.takeTurns(ctx, "orders", variants, ofStack(b.orderRequest)); err != nil {
			return err
		}
		if err := errors.Join(b.stopStack(of(0)), b.stopStack(of(1))); err != nil {
			return err
		}
	}
	return nil
}

func stopServer(server *pgserver.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return server.Stop(ctx)
}
