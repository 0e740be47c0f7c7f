// Package picture takes pictures in from strangers and makes the sizes that the shop shows.
//
// [Inspect] looks at what has been uploaded without decoding it: it tells the format by the content, refuses what is too large, and
// leaves out all metadata. [Scale] decodes it and makes the sizes. How much memory that takes is known before, see [Limits].
package picture

import (
	"crypto/sha256"
	"fmt"
)

const (
	// MaxBytes is the greatest upload.
	MaxBytes = 10 << 20
	// maxPixels and maxSide are the greatest pictures.
	maxPixels = 40_000_000
	maxSide   = 100_000
)

// Media types that are taken, and served.
const (
	JPEG = "image/jpeg"
	PNG  = "image/png"
	GIF  = "image/gif"
	WebP = "image/webp"
)

// Limits bound what decoding may cost.
type Limits struct {
	// Memory is for one picture, in bytes.
	Memory int64
}

// Original is what was uploaded, less what is nobody's business: where it was taken, with what, and what else was in the file.
// Of the metadata only the orientation is left.
type Original struct {
	Hash      [sha256.Size]byte // of Content
	MediaType string
	Content   []byte
}

// BadError says what is wrong with a picture, as the end of a sentence that begins with "the picture".
type BadError struct{ Reason string }

func (e *BadError) Error() string { return "the picture " + e.Reason }

func bad(format string, args ...any) error { return &BadError{Reason: fmt.Sprintf(format, args...)} }

var errTruncated = &BadError{Reason: "ends too early; upload the whole file"}

// Inspect takes a picture in, whatever its name says it is. Its error is a [*BadError].
func Inspect(upload []byte, l Limits) (Original, error) {
	if len(upload) == 0 {
		return Original{}, bad("is empty")
	}
	if len(upload) > MaxBytes {
		return Original{}, bad("is larger than %d MB", MaxBytes>>20)
	}
	f := formatOf(upload)
	if f == nil {
		return Original{}, bad("must be a JPEG, PNG, WebP or GIF")
	}
	if err := f.check(upload, l); err != nil {
		return Original{}, err
	}
	content, err := f.strip(upload, orientationOf(upload, f))
	if err != nil {
		return Original{}, err
	}
	return Original{Hash: sha256.Sum256(content), MediaType: f.mediaType, Content: content}, nil
}
