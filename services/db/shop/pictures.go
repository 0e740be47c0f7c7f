package shop

import (
	"context"
	"crypto/sha256"
	"errors"

	"merchstore.io/merchstore/internal/failure"
	"merchstore.io/merchstore/services/db/picture"
)

// PictureHash identifies a picture by the SHA-256 of its original.
type PictureHash [sha256.Size]byte

// Picture is the state of a product's picture.
type Picture struct {
	Hash   PictureHash
	Status PictureStatus
	// Failure is the reason why scaling failed, for the owner to read.
	Failure string
}

// PictureStatus is the state of scaling a picture.
type PictureStatus string

// States of scaling. Until it is ready, a picture is served as it was uploaded.
const (
	PictureProcessing PictureStatus = "processing"
	PictureReady      PictureStatus = "ready"
	PictureFailed     PictureStatus = "failed"
)

// PictureSize is a size of a picture.
type PictureSize int

// The sizes.
const (
	PictureOriginal PictureSize = iota
	PictureThumbnail
	PictureCard
	PictureFull
)

// PictureContent is an encoded picture.
type PictureContent struct {
	MediaType string
	Content   []byte // or the part of it that was asked for
	Total     int64  // size of the whole content in bytes
}

// ByteRange is a part of a picture. A Limit of 0 means all.
type ByteRange struct {
	Offset int64
	Limit  int32
}

// ErrPictureNotFound means that there is no such picture, or that it is not scaled yet.
var ErrPictureNotFound = failure.New(failure.NotFound, "picture_not_found", "Picture not found")

// SetPicture replaces a product's picture.
func (c *Catalogue) SetPicture(ctx context.Context, actor Actor, id int32, ifVersion *int64, upload []byte) (Product, error) {
	if err := c.authorize(ctx, actor, id); err != nil {
		return Product{}, err
	}
	original, err := c.inspect(upload)
	if err != nil {
		return Product{}, err
	}
	return c.Store.SetPicture(ctx, actor.ID, id, ifVersion, &original)
}

// RemovePicture removes a product's picture, if it has one.
func (c *Catalogue) RemovePicture(ctx context.Context, actor Actor, id int32, ifVersion *int64) (Product, error) {
	if err := c.authorize(ctx, actor, id); err != nil {
		return Product{}, err
	}
	return c.Store.SetPicture(ctx, actor.ID, id, ifVersion, nil)
}

// Picture returns a picture, or a part of it. It needs no permission: only those who have seen the product or the
// picture know its hash.
func (c *Catalogue) Picture(ctx context.Context, hash PictureHash, size PictureSize, part ByteRange) (PictureContent, error) {
	return c.Store.PictureContent(ctx, hash, size, part)
}

func (c *Catalogue) inspect(upload []byte) (picture.Original, error) {
	original, err := picture.Inspect(upload, c.Pictures)
	if invalid := new(picture.InvalidError); errors.As(err, &invalid) {
		return original, failure.InvalidField("image", invalid.Reason)
	}
	return original, err
}
