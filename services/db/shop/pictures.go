package shop

import (
	"context"
	"crypto/sha256"
	"errors"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/db/picture"
)

// PictureHash names a picture by the content of what was uploaded.
type PictureHash [sha256.Size]byte

// Picture is what a product is shown with.
type Picture struct {
	Hash   PictureHash
	Status PictureStatus
	// Failure tells the owner why no sizes could be made.
	Failure string
}

// PictureStatus is what has become of a picture since it was uploaded.
type PictureStatus string

// Until its sizes are made, a picture is shown as it was uploaded.
const (
	PictureProcessing PictureStatus = "processing"
	PictureReady      PictureStatus = "ready"
	PictureFailed     PictureStatus = "failed"
)

// PictureSize is one of the sizes, or the original.
type PictureSize int

// The sizes.
const (
	PictureOriginal PictureSize = iota
	PictureThumbnail
	PictureCard
	PictureFull
)

// PictureContent is a picture as it goes to a browser.
type PictureContent struct {
	MediaType string
	Content   []byte
}

// ErrPictureNotFound means that there is no such picture, or that its sizes are not made yet.
var ErrPictureNotFound = failure.New(failure.NotFound, "picture_not_found", "Picture not found")

// SetPicture gives a product another picture.
func (c *Catalogue) SetPicture(ctx context.Context, actor Actor, id int32, ifVersion *int64, upload []byte) (Product, error) {
	if err := c.mayChange(ctx, actor, id); err != nil {
		return Product{}, err
	}
	original, err := c.inspect(upload)
	if err != nil {
		return Product{}, err
	}
	return c.Store.SetPicture(ctx, id, ifVersion, &original)
}

// RemovePicture leaves a product without one. There may have been none.
func (c *Catalogue) RemovePicture(ctx context.Context, actor Actor, id int32, ifVersion *int64) (Product, error) {
	if err := c.mayChange(ctx, actor, id); err != nil {
		return Product{}, err
	}
	return c.Store.SetPicture(ctx, id, ifVersion, nil)
}

// Picture is for everybody: who knows its hash has seen the product, or the picture itself.
func (c *Catalogue) Picture(ctx context.Context, hash PictureHash, size PictureSize) (PictureContent, error) {
	return c.Store.PictureContent(ctx, hash, size)
}

func (c *Catalogue) inspect(upload []byte) (picture.Original, error) {
	original, err := picture.Inspect(upload, c.Pictures)
	if bad := new(picture.BadError); errors.As(err, &bad) {
		return original, failure.InvalidField("image", bad.Reason)
	}
	return original, err
}
