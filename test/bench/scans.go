package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
)

// pictures uploads pictures that take long to decode, and one of a customer's among them.
func (a *attackers) pictures(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if a.pictureWait, err = a.b.awaitPicture(context.WithoutCancel(ctx), a.api, a.customersProduct); err != nil {
			a.b.report.note("the customer's picture: %v", err)
		}
	}()
	url := fmt.Sprintf("http://%s/api/v1/products/%d/image", a.api, a.product)
	together(ctx, 4, func(i int) {
		scans := []int{3000, 25}[i%2] // too many, and as many as are accepted
		_ = makeRequest(ctx, a.client, http.MethodPut, url, a.token, emptyScans(uint16(8000-i%1000), 5000, scans), 0)
	})
	<-done
}

// awaitPicture uploads a customer's picture in the middle of an attack, and returns how long it takes
// until it has its sizes.
func (b *bench) awaitPicture(ctx context.Context, api string, product int32) (time.Duration, error) {
	_ = pause(ctx, attackTime/2)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, b.server.URL("merchstore"))
	if err != nil {
		return maxPictureWait + 1, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	m := image.NewGray(image.Rect(0, 0, 800, 600))
	m.SetGray(1, 1, color.Gray{Y: 7})
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, m); err != nil {
		return maxPictureWait + 1, fmt.Errorf("encode a picture: %w", err)
	}
	url := fmt.Sprintf("http://%s/api/v1/products/%d/image", api, product)
	err = makeRequest(ctx, http.DefaultClient, http.MethodPut, url, b.users[0].token, encoded.String(), http.StatusOK)
	for start := time.Now(); err == nil; err = pause(ctx, 20*time.Millisecond) {
		var ready bool
		err = conn.QueryRow(ctx, `SELECT status = 'ready' FROM pictures JOIN products ON picture = hash WHERE id = $1`, product).Scan(&ready)
		if err == nil && ready {
			return time.Since(start), nil
		}
	}
	return maxPictureWait + 1, errors.Join(err)
}

// emptyScans returns a gray progressive JPEG. Each of its scans is a few bytes, and visits every
// coefficient of the picture. All of them are zero.
func emptyScans(width, height uint16, scans int) string {
	blocks := (int(width) + 7) / 8 * ((int(height) + 7) / 8)
	frame := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{8}, height), width)
	out := []byte("\xff\xd8")
	segment := func(marker byte, content ...byte) {
		out = binary.BigEndian.AppendUint16(append(out, 0xff, marker), uint16(len(content)+2))
		out = append(out, content...)
	}
	// A Huffman table with one code, the bit 0.
	table := func(class, value byte) {
		segment(0xc4, append([]byte{class, 1}, append(make([]byte, 15), value)...)...)
	}
	segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...) // quantization
	segment(0xc2, append(frame, 1, 1, 0x11, 0)...)
	table(0x00, 0x00)                     // the next DC coefficient is as the one before
	table(0x10, 0xe0)                     // 16,384 blocks, and as many more as the next 14 bits say, have no more AC coefficients
	segment(0xda, 1, 1, 0x00, 0, 0, 0x00) // of the DC coefficients
	out = append(out, make([]byte, blocks/8+1)...)
	for range scans - 1 {
		segment(0xda, 1, 1, 0x00, 1, 63, 0x10) // refines all AC coefficients
		out = append(out, make([]byte, (blocks/16384+1)*15/8+1)...)
	}
	return string(append(out, 0xff, 0xd9))
}
