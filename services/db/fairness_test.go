package main

import (
	"bytes"
	"image"
	"image/png"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"merchstore.io/merchstore/services/db/postgres"
	"merchstore.io/merchstore/test/eventually"
)

// One account has uploaded many pictures when another uploads its first, which does not wait for
// theirs. The queue is paused meanwhile, so that it is full whatever the machine's speed.
func TestPicturesOfOneAccountKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter, yoga := s.signUp("peter"), s.signUp("yoga")
	pool, err := pgxpool.New(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	queue, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.QueuePause(t.Context(), postgres.PictureQueue, nil); err != nil {
		t.Fatal(err)
	}
	const pictures = 6
	for i := range pictures {
		var b bytes.Buffer
		if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 800, 600+i))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateProduct(yoga.ctx, productWithImage(b.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CreateProduct(peter.ctx, productWithImage(uniquePNG(t))); err != nil {
		t.Fatal(err)
	}
	if err := queue.QueueResume(t.Context(), postgres.PictureQueue, nil); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, time.Minute, "all pictures to be ready", func() bool {
		return s.count(`SELECT count(*) FROM pictures WHERE status = 'ready'`) == pictures+1
	})
	// Before Peter's come Yoga's first, and one that began before the queue was seen to be paused.
	if before := s.count(`SELECT count(*) FROM river_job WHERE kind = 'scale_picture' AND attempted_at <
		(SELECT attempted_at FROM river_job WHERE kind = 'scale_picture' ORDER BY id DESC LIMIT 1)`); before > 2 {
		t.Errorf("%d of %d pictures of the other account were scaled first, so it had to wait for them", before, pictures)
	}
}
