package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"

	"merchstore.io/merchstore/services/db/batch"
	"merchstore.io/merchstore/services/db/shop"
)

// Reader reads accounts and products by id. Concurrent reads share one round trip to the database.
// Nothing is cached: a read that starts after a commit sees it.
type Reader struct {
	batcher *batch.Batcher[readRequest, readResult]
}

type readRequest struct {
	table table
	id    int32
}

type table int

const (
	usersTable table = iota
	productsTable
)

// readResult holds the row of the requested table, or nil if there is none.
type readResult struct {
	user    *shop.User
	product *shop.Product
}

const (
	readBatchSize = 500
	readTimeout   = 5 * time.Second
)

// NewReader returns a Reader that records a span of tracer for each round trip. The caller must
// close it.
func (db *DB) NewReader(tracer trace.Tracer) *Reader {
	return &Reader{batcher: batch.New(readBatchSize, readTimeout, db.read).WithTracer(tracer, "read by id")}
}

// Close waits for the reads in progress.
func (r *Reader) Close() { r.batcher.Close() }

// StartUser starts reading an account. wait returns the account, or nil if there is none.
func (r *Reader) StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error)) {
	call := r.batcher.Start(ctx, readRequest{usersTable, id})
	return func() (*shop.User, error) {
		result, err := call.Wait()
		return result.user, err
	}
}

// ProductByID returns a product, or nil if there is none or it was deleted.
func (r *Reader) ProductByID(ctx context.Context, id int32) (*shop.Product, error) {
	result, err := r.batcher.Do(ctx, readRequest{productsTable, id})
	return result.product, err
}

// read answers a batch of requests with one query per table.
func (db *DB) read(ctx context.Context, requests []readRequest) ([]readResult, error) {
	var ids [2][]int32
	for _, r := range requests {
		ids[r.table] = append(ids[r.table], r.id)
	}
	users, products := map[int32]*shop.User{}, map[int32]*shop.Product{}
	err := retryUnexecuted(ctx, func() error { return db.readByID(ctx, ids, users, products) })
	if err != nil {
		return nil, wrap(err, fmt.Sprintf("read %d by id", len(requests)))
	}
	results := make([]readResult, len(requests))
	for i, r := range requests {
		switch r.table {
		case usersTable:
			results[i].user = users[r.id]
		case productsTable:
			results[i].product = products[r.id]
		}
	}
	return results, nil
}

// readByID adds the rows with the ids of each table to users and products.
func (db *DB) readByID(ctx context.Context, ids [2][]int32, users map[int32]*shop.User, products map[int32]*shop.Product) error {
	queries := new(pgx.Batch)
	if len(ids[usersTable]) > 0 {
		queries.Queue(`SELECT `+userColumns+` FROM users WHERE id = ANY($1)`, distinct(ids[usersTable])).
			Query(collectByID(users, scanUser, func(u shop.User) int32 { return u.ID }))
	}
	if len(ids[productsTable]) > 0 {
		queries.Queue(`SELECT `+productColumns+` FROM products WHERE id = ANY($1) AND deleted_at IS NULL`,
			distinct(ids[productsTable])).
			Query(collectByID(products, scanProduct, func(p shop.Product) int32 { return p.ID }))
	}
	return db.pool.SendBatch(withQueryName(ctx, "read by id"), queries).Close()
}

func distinct(ids []int32) []int32 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// collectByID returns a function that scans rows into m, keyed by id.
func collectByID[T any](m map[int32]*T, scan pgx.RowToFunc[T], id func(T) int32) func(rows pgx.Rows) error {
	return func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, scan)
		for i := range all {
			m[id(all[i])] = &all[i]
		}
		return err
	}
}
