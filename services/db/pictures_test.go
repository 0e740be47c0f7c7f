package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
	"merchstore.io/merchstore/test/database"
	"merchstore.io/merchstore/test/eventually"
)

// uniquePNG returns a picture with random content.
func uniquePNG(t *testing.T) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 800, 600))
	for i := range 64 {
		m.SetGray(i, i, color.Gray{Y: uint8(rand.UintN(256))})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// corruptPNG returns a picture that passes inspection and fails to decode.
func corruptPNG(t *testing.T) []byte {
	t.Helper()
	b := uniquePNG(t)
	chunk := bytes.Index(b, []byte("IDAT"))
	end := chunk + 4 + int(binary.BigEndian.Uint32(b[chunk-4:]))
	b[end-20] ^= 0xff
	binary.BigEndian.PutUint32(b[end:], crc32.ChecksumIEEE(b[chunk:end]))
	return b
}

func productWithImage(image []byte) *merchstorev1.CreateProductRequest {
	return &merchstorev1.CreateProductRequest{Name: "Hoodie", Price: 19900, Stock: 5, Image: image}
}

// awaitPicture waits until a product's picture is processed.
func (s *service) awaitPicture(viewer account, id int32) *merchstorev1.Product {
	s.t.Helper()
	var p *merchstorev1.Product
	eventually.True(s.t, time.Minute, "the picture to be processed", func() bool {
		r, err := s.GetProduct(viewer.ctx, &merchstorev1.GetProductRequest{Id: id})
		if err != nil {
			s.t.Fatal(err)
		}
		p = r.GetProduct()
		return p.GetPicture().GetStatus() != merchstorev1.PictureStatus_PICTURE_STATUS_PROCESSING
	})
	return p
}

func TestScalesPictures(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	created, err := s.CreateProduct(peter.ctx, productWithImage(uniquePNG(t)))
	if err != nil {
		t.Fatal(err)
	}
	p := s.awaitPicture(peter, created.GetProduct().GetId())
	if got := p.GetPicture().GetStatus(); got != merchstorev1.PictureStatus_PICTURE_STATUS_READY || p.GetVersion() != 2 {
		t.Fatalf("%v at version %d", p.GetPicture(), p.GetVersion())
	}
	guest, err := s.keys.SignGuest(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for size, width := range map[merchstorev1.PictureSize]int{
		merchstorev1.PictureSize_PICTURE_SIZE_UNSPECIFIED: 800, merchstorev1.PictureSize_PICTURE_SIZE_THUMBNAIL: 160,
		merchstorev1.PictureSize_PICTURE_SIZE_CARD: 480, merchstorev1.PictureSize_PICTURE_SIZE_FULL: 800,
	} {
		r, err := s.GetPicture(as(t.Context(), guest), &merchstorev1.GetPictureRequest{Hash: p.GetPicture().GetHash(), Size: size})
		if err != nil {
			t.Fatal(err)
		}
		if c, _, err := image.DecodeConfig(bytes.NewReader(r.GetContent())); err != nil || c.Width != width {
			t.Errorf("%v is %d wide, %v; want %d", size, c.Width, err, width)
		}
	}
	_, err = s.GetPicture(peter.ctx, &merchstorev1.GetPictureRequest{Hash: make([]byte, 32)})
	wantReason(t, err, "picture_not_found")
}

func TestReportsInvalidPictures(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	_, err := s.CreateProduct(peter.ctx, productWithImage([]byte("<script>")))
	wantReason(t, err, "invalid_request")
	broken, err := s.CreateProduct(peter.ctx, productWithImage(corruptPNG(t)))
	if err != nil {
		t.Fatal(err)
	}
	p := s.awaitPicture(peter, broken.GetProduct().GetId())
	if p.GetPicture().GetStatus() != merchstorev1.PictureStatus_PICTURE_STATUS_FAILED || p.GetPicture().GetFailure() == "" {
		t.Errorf("the picture of corrupt data is %v", p.GetPicture())
	}
	better, err := s.SetPicture(peter.ctx, &merchstorev1.SetPictureRequest{Id: p.GetId(), Image: uniquePNG(t)})
	if err != nil {
		t.Fatal(err)
	}
	if p := s.awaitPicture(peter, better.GetProduct().GetId()); p.GetPicture().GetStatus() != merchstorev1.PictureStatus_PICTURE_STATUS_READY {
		t.Errorf("the replacement is %v", p.GetPicture())
	}
}

func TestGivesUpPicturesThatTakeTooLong(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.Jobs.Timeout = 200 * time.Millisecond })
	peter := s.signUp("peter")
	var large bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&large, image.NewNRGBA(image.Rect(0, 0, 6300, 6300))); err != nil {
		t.Fatal(err)
	}
	created, err := s.upload(peter.ctx, &merchstorev1.UploadPictureRequest{
		Size: int64(large.Len()), Target: &merchstorev1.UploadPictureRequest_Create{Create: productWithImage(nil)},
	}, slices.Collect(slices.Chunk(large.Bytes(), 48<<10))...)
	if err != nil {
		t.Fatal(err)
	}
	p := s.awaitPicture(peter, created.GetId())
	if got := p.GetPicture().GetFailure(); got != "takes too long to decode; save it smaller" {
		t.Errorf("%v: %q", p.GetPicture().GetStatus(), got)
	}
}

func TestFailedCreateLeavesNoPictureAndNoJob(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	conn := database.Connect(t, s.url)
	database.Exec(t, conn, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
		CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION refuse()`)
	if _, err := s.CreateProduct(peter.ctx, productWithImage(uniquePNG(t))); err == nil {
		t.Fatal("the product was created")
	}
	if n := database.Ask[int](t, conn, `SELECT (SELECT count(*) FROM pictures) + (SELECT count(*) FROM river_job WHERE kind = 'scale_picture')`); n != 0 {
		t.Errorf("%d pictures and jobs are left", n)
	}
}

func TestOnlyOwnersChangePictures(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("admin")
	peter, yoga := s.signUp("peter"), s.signUp("yoga")
	p := s.product(peter, 1)
	stale := p.GetVersion() + 7
	for name, tt := range map[string]struct {
		actor   account
		request *merchstorev1.SetPictureRequest
		want    string
	}{
		"by another user":       {yoga, &merchstorev1.SetPictureRequest{Id: p.GetId(), Image: uniquePNG(t)}, "forbidden"},
		"with a wrong version":  {peter, &merchstorev1.SetPictureRequest{Id: p.GetId(), IfVersion: &stale, Image: uniquePNG(t)}, "stale_version"},
		"of an unknown product": {peter, &merchstorev1.SetPictureRequest{Id: 999, Image: uniquePNG(t)}, "product_not_found"},
		"with an empty image":   {peter, &merchstorev1.SetPictureRequest{Id: p.GetId()}, "invalid_request"},
	} {
		if _, err := s.SetPicture(tt.actor.ctx, tt.request); string(reason(err)) != tt.want {
			t.Errorf("a picture set %s: %v, want %s", name, err, tt.want)
		}
	}
	_, err := s.RemovePicture(yoga.ctx, &merchstorev1.RemovePictureRequest{Id: p.GetId()})
	wantReason(t, err, "forbidden")
	conn := database.Connect(t, s.url)
	if n := database.Ask[int](t, conn, `SELECT count(*) FROM pictures`); n != 0 {
		t.Errorf("%d pictures are left of rejected requests", n)
	}
}

func TestDeletesUnusedPictures(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	conn := database.Connect(t, s.url)
	awaitPictures := func(want int) {
		t.Helper()
		eventually.True(s.t, time.Minute, "unused pictures to be deleted", func() bool {
			return database.Ask[int](t, conn, `SELECT count(*) FROM pictures`) == want &&
				database.Ask[int](t, conn, `SELECT count(*) FROM river_job WHERE state <> 'completed'`) == 0
		})
	}
	shared := uniquePNG(t)
	var ids []int32
	for range 3 {
		r, err := s.CreateProduct(peter.ctx, productWithImage(shared))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.GetProduct().GetId())
	}
	awaitPictures(1)
	if _, err := s.SetPicture(peter.ctx, &merchstorev1.SetPictureRequest{Id: ids[0], Image: uniquePNG(t)}); err != nil {
		t.Fatal(err)
	}
	awaitPictures(2)
	if _, err := s.DeleteProduct(peter.ctx, &merchstorev1.DeleteProductRequest{Id: ids[1]}); err != nil {
		t.Fatal(err)
	}
	awaitPictures(2)
	removed, err := s.RemovePicture(peter.ctx, &merchstorev1.RemovePictureRequest{Id: ids[2]})
	if err != nil || removed.GetProduct().GetPicture() != nil {
		t.Fatalf("%v, %v", removed, err)
	}
	awaitPictures(1)
	if _, err := s.SetPicture(peter.ctx, &merchstorev1.SetPictureRequest{Id: ids[2], Image: shared}); err != nil {
		t.Fatal(err)
	}
	if p := s.awaitPicture(peter, ids[2]); p.GetPicture().GetStatus() != merchstorev1.PictureStatus_PICTURE_STATUS_READY {
		t.Errorf("a picture uploaded again after its deletion is %v", p.GetPicture())
	}
}

// TestConcurrentPictureChanges provokes deadlocks, and deletions of a picture that is about to be
// shown.
func TestConcurrentPictureChanges(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter := s.signUp("peter")
	images := [][]byte{uniquePNG(t), uniquePNG(t)}
	done := make(chan error)
	const owners, rounds = 6, 10
	for range owners {
		p := s.product(peter, 1)
		go func() {
			for i := range rounds {
				if _, err := s.SetPicture(peter.ctx, &merchstorev1.SetPictureRequest{Id: p.GetId(), Image: images[i%2]}); err != nil {
					done <- err
					return
				}
			}
			_, err := s.RemovePicture(peter.ctx, &merchstorev1.RemovePictureRequest{Id: p.GetId()})
			done <- err
		}()
	}
	for range owners {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	conn := database.Connect(t, s.url)
	eventually.True(s.t, time.Minute, "all pictures to be deleted", func() bool { return database.Ask[int](t, conn, `SELECT count(*) FROM pictures`) == 0 })
}

func TestCleansUp(t *testing.T) {
	t.Parallel()
	url := database.New(t)
	first := startOn(t, url)
	peter := first.signUp("peter")
	p := first.product(peter, 5)
	for _, key := range []string{"old", "new"} {
		if _, err := first.PlaceOrder(peter.ctx, order(key, line(p, 1))); err != nil {
			t.Fatal(err)
		}
	}
	first.stop()
	conn := database.Connect(t, url)
	database.Exec(t, conn, `DELETE FROM river_job; UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = 'old';
		INSERT INTO pictures (hash, original_type, original, uploaded_at) VALUES (sha256('orphan'), 'image/png', 'x', now() - interval '2 hours');
		INSERT INTO pictures (hash, original_type, original) VALUES (sha256('stuck'), 'image/png', 'x');
		INSERT INTO pictures (hash, original_type, original, uploaded_at) VALUES (sha256('deleted'), 'image/png', 'x', now() - interval '2 hours');
		UPDATE products SET picture = sha256('stuck');
		INSERT INTO products (name, price, stock, picture, deleted_at) VALUES ('gone', 1, 1, sha256('deleted'), now())`)
	second := startOn(t, url)
	eventually.True(second.t, time.Minute, "both jobs to complete", func() bool {
		return database.Ask[int](t, conn, `SELECT count(*) FROM river_job WHERE kind IN ('clean_up', 'give_up_pictures') AND state = 'completed'`) == 2
	})
	keys, orphans := database.Ask[string](t, conn, `SELECT string_agg(key, ' ') FROM idempotency_keys`), database.Ask[int](t, conn,
		`SELECT count(*) FROM pictures WHERE hash IN (sha256('orphan'), sha256('deleted'))`)
	if status := database.Ask[string](t, conn, `SELECT status FROM pictures WHERE hash = sha256('stuck')`); keys != "new" || orphans != 0 || status != "failed" {
		t.Errorf("keys %s and %d orphans are left, and the stuck picture is %s", keys, orphans, status)
	}
}

func TestSeededProductsHavePictures(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *Settings) { s.SeedProducts = true })
	peter := s.signUp("peter")
	for id := range int32(3) {
		if p := s.awaitPicture(peter, id+1); p.GetPicture().GetStatus() != merchstorev1.PictureStatus_PICTURE_STATUS_READY {
			t.Errorf("%s: %v", p.GetName(), p.GetPicture())
		}
	}
}
