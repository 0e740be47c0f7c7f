package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

// photos are uploaded by this many clients, each photo of 12 megapixels.
const (
	photos    = 24
	uploaders = 4
)

// pictures: from the first upload until the last picture has its sizes.
func (b *bench) pictures(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.server.URL("merchstore"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `INSERT INTO products (owner_id, name, price, stock) SELECT $1, 'pictured', 1, 1 FROM generate_series(1, $2) RETURNING id`,
		b.users[0].id, photos)
	if err != nil {
		return fmt.Errorf("fill the shelf: %w", err)
	}
	products, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return fmt.Errorf("fill the shelf: %w", err)
	}
	files := make([]string, photos)
	for i := range files {
		if files[i], err = photograph(); err != nil {
			return err
		}
	}
	start := time.Now()
	var uploads errgroup.Group
	for c := range uploaders {
		uploads.Go(func() error {
			for i := c; i < photos; i += uploaders {
				r := newRequest(b.addrs["api"], "PUT", fmt.Sprintf("/api/v1/products/%d/image", products[i]), 200)
				r.token, r.body = b.users[0].token, files[i]
				if err := r.do(func(r *fasthttp.Request) { r.Header.SetContentType("image/jpeg") }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := uploads.Wait(); err != nil {
		return err
	}
	uploaded := time.Since(start)
	for left := photos; left > 0; {
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM pictures WHERE status <> 'ready'`).Scan(&left); err != nil {
			return fmt.Errorf("count pictures: %w", err)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	b.report.note("pictures: %d of 12 megapixels and %.1f MB were uploaded at %.1f/s, and had their sizes, made one at a time, at %.1f/s",
		photos, float64(len(files[0]))/1e6, photos/uploaded.Seconds(), photos/time.Since(start).Seconds())
	return nil
}

// photograph is as hard to compress as a photo.
func photograph() (string, error) {
	m := image.NewRGBA(image.Rect(0, 0, 4000, 3000))
	for y := range 3000 {
		for x := range 4000 {
			noise := uint8(rand.UintN(24))
			m.SetRGBA(x, y, color.RGBA{R: uint8(x/20) + noise, G: uint8(y/15) + noise, B: noise, A: 255})
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: 80}); err != nil {
		return "", fmt.Errorf("take a photo: %w", err)
	}
	return out.String(), nil
}
