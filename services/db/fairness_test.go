package main

import (
	"bytes"
	"image"
	"image/png"
	"testing"

	merchstorev1 "merchstore.io/merchstore/proto/merchstore/v1"
)

// One account uploads pictures that take long, and another account's picture does not wait for them.
func TestPicturesOfOneAccountKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	s := start(t)
	peter, yoga := s.signUp("peter"), s.signUp("yoga")
	const pictures = 6
	for i := range pictures {
		var large bytes.Buffer // a few kilobytes
		if err := png.Encode(&large, image.NewGray(image.Rect(0, 0, 3000, 3000+i))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateProduct(yoga.ctx, productWithImage(large.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.CreateProduct(peter.ctx, productWithImage(uniquePNG(t)))
	if err != nil {
		t.Fatal(err)
	}
	if p := s.awaitPicture(peter, r.GetProduct().GetId()).GetPicture(); p.GetStatus() != merchstorev1.PictureStatus_PICTURE_STATUS_READY {
		t.Errorf("the picture is %v", p)
	}
	// It overtakes all but the one that was being scaled, and one with the same priority.
	if left := s.count(`SELECT count(*) FROM pictures WHERE status = 'processing'`); left < pictures-3 {
		t.Errorf("%d of %d pictures of the other account are left, so it had to wait for them", left, pictures)
	}
}
