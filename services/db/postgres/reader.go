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

// Reader finds accounts and products by their ids. What is asked for at the same time, of either, goes to the database in
// one round trip. Nothing is kept: a question asked after a write was committed sees it.
type Reader struct {
	group *batch.Group[wish, found]
}

// wish asks for an account or for a product.
type wish struct {
	what what
	id   int32
}

type what int

const (
	aUser what = iota
	aProduct
)

// found holds what was wished for, or nil if there is none.
type found struct {
	user    *shop.User
	product *shop.Product
}

const (
	readGroup   = 500
	readTimeout = 5 * time.Second
)

// NewReader makes a Reader, whose round trips are spans of tracer. It needs Close.
func (db *DB) NewReader(tracer trace.Tracer) *Reader {
	return &Reader{group: batch.New(readGroup, readTimeout, db.read).Traced(tracer, "read by id")}
}

// Close waits for what is under way.
func (r *Reader) Close() { r.group.Close() }

// StartUser asks for an account, and gives a function that waits for it; nil if there is none.
func (r *Reader) StartUser(ctx context.Context, id int32) (wait func() (*shop.User, error)) {
	call := r.group.Start(ctx, wish{aUser, id})
	return func() (*shop.User, error) {
		f, err := call.Wait()
		return f.user, err
	}
}

// ProductByID gives a product that is on the shelf; nil if there is none.
func (r *Reader) ProductByID(ctx context.Context, id int32) (*shop.Product, error) {
	f, err := r.group.Do(ctx, wish{aProduct, id})
	return f.product, err
}

// read answers a group of wishes.
func (db *DB) read(ctx context.Context, wishes []wish) ([]found, error) {
	var ids [2][]int32
	for _, w := range wishes {
		ids[w.what] = append(ids[w.what], w.id)
	}
	users, products := map[int32]*shop.User{}, map[int32]*shop.Product{}
	queries := new(pgx.Batch)
	if len(ids[aUser]) > 0 {
		queries.Queue(`SELECT `+userColumns+` FROM users WHERE id = ANY($1)`, distinct(ids[aUser])).
			Query(into(users, scanUser, func(u shop.User) int32 { return u.ID }))
	}
	if len(ids[aProduct]) > 0 {
		queries.Queue(`SELECT `+productColumns+` FROM products WHERE id = ANY($1) AND deleted_at IS NULL`, distinct(ids[aProduct])).
			Query(into(products, scanProduct, func(p shop.Product) int32 { return p.ID }))
	}
	if err := db.pool.SendBatch(named(ctx, "read by id"), queries).Close(); err != nil {
		return nil, wrap(err, fmt.Sprintf("read %d by id", len(wishes)))
	}
	answers := make([]found, len(wishes))
	for i, w := range wishes {
		switch w.what {
		case aUser:
			answers[i].user = users[w.id]
		case aProduct:
			answers[i].product = products[w.id]
		}
	}
	return answers, nil
}

func distinct(ids []int32) []int32 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// into collects rows by their ids.
func into[T any](m map[int32]*T, scan pgx.RowToFunc[T], id func(T) int32) func(rows pgx.Rows) error {
	return func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, scan)
		for i := range all {
			m[id(all[i])] = &all[i]
		}
		return err
	}
}
