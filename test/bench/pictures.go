package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

const (
	photos    = 24 // of 12 megapixels each
	uploaders = 4  // concurrent clients
)

// pictures measures uploads until the last picture has its sizes, first of photos, then of the
// pictures that are hardest to decode.
func (b *bench) pictures(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.server.URL("merchstore"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	files := make([]upload, photos)
	for i := range files {
		if files[i].content, err = photograph(); err != nil {
			return err
		}
		files[i].mediaType = "image/jpeg"
	}
	uploaded, all, err := b.uploadAll(ctx, conn, files)
	if err != nil {
		return err
	}
	b.report.note("pictures: %d photos of 12 megapixels and %.1f MB were uploaded at %.1f/s, and scaled by one worker at %.1f/s",
		photos, float64(len(files[0].content))/1e6, photos/uploaded.Seconds(), photos/all.Seconds())

	if err := b.programs.stop("db"); err != nil {
		return err
	}
	if err := b.startDB(ctx, "GOMEMLIMIT=460MiB"); err != nil { // as in the chart
		return err
	}
	if files, err = hardest(); err != nil {
		return err
	}
	if _, all, err = b.uploadAll(ctx, conn, files); err != nil {
		return err
	}
	for _, name := range []string{"db", "api"} {
		_, most, err := memory(b.programs.pids()[name])
		if err != nil {
			return err
		}
		b.report.note("%d pictures of 40 megapixels, the hardest that are accepted, were scaled after %.0f s; peak memory of %s: %d MiB",
			len(files), all.Seconds(), name, most>>20)
	}
	return nil
}

// upload is a picture to upload.
type upload struct{ mediaType, content string }

// uploadAll returns the duration of the uploads, and the duration until all pictures have their
// sizes.
func (b *bench) uploadAll(ctx context.Context, conn *pgx.Conn, files []upload) (uploaded, all time.Duration, err error) {
	rows, err := conn.Query(ctx, `INSERT INTO products (owner_id, name, price, stock) SELECT $1, 'pictured', 1, 1 FROM generate_series(1, $2) RETURNING id`,
		b.users[0].id, len(files))
	if err != nil {
		return 0, 0, fmt.Errorf("create products: %w", err)
	}
	products, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return 0, 0, fmt.Errorf("create products: %w", err)
	}
	start := time.Now()
	var uploads errgroup.Group
	for c := range uploaders {
		uploads.Go(func() error {
			for i := c; i < len(files); i += uploaders {
				r := newRequest(b.addrs["api"], "PUT", fmt.Sprintf("/api/v1/products/%d/image", products[i]), 200)
				r.token, r.body = b.users[0].token, files[i].content
				r.change = func(r *fasthttp.Request) { r.Header.SetContentType(files[i].mediaType) }
				if err := r.do(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := uploads.Wait(); err != nil {
		return 0, 0, err
	}
	uploaded = time.Since(start)
	for left := 1; left > 0; {
		var failed int
		err := conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE status = 'processing'), count(*) FILTER (WHERE status = 'failed') FROM pictures`).Scan(&left, &failed)
		if err != nil || failed > 0 {
			return 0, 0, fmt.Errorf("count pictures: %d have failed: %w", failed, errors.Join(err))
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	return uploaded, time.Since(start), nil
}

// hardest returns small files that are as large as allowed when they are decoded. All are
// different.
func hardest() ([]upload, error) {
	size := image.Rect(0, 0, 8000, 5000)
	transparent, plain := image.NewNRGBA(size), image.NewPaletted(size, color.Palette{color.Black, color.White})
	wide := image.NewNRGBA64(image.Rect(0, 0, 6000, 4000)) // 16 bits, so 24 megapixels need as much memory
	var files []upload
	for i := range 4 {
		transparent.SetNRGBA(i, 0, color.NRGBA{R: 255, A: 255})
		plain.SetColorIndex(i, 0, 1)
		wide.SetNRGBA64(i, 0, color.NRGBA64{R: 65535, A: 65535})
		var asPNG, asGIF, deep bytes.Buffer
		if err := errors.Join(png.Encode(&asPNG, transparent), gif.Encode(&asGIF, plain, nil), png.Encode(&deep, wide)); err != nil {
			return nil, fmt.Errorf("encode a large picture: %w", err)
		}
		files = append(files, upload{"image/png", asPNG.String()}, upload{"image/gif", asGIF.String()}, upload{"image/png", deep.String()})
	}
	return files, nil
}

// photograph returns a JPEG that compresses about as badly as a photo.
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
		return "", fmt.Errorf("encode a photo: %w", err)
	}
	return out.String(), nil
}
