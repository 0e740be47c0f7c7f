// Package picture validates uploaded pictures and scales them to the sizes that the shop shows.
//
// [Inspect] validates an upload without decoding it: it detects the format from the content,
// rejects what is too large, and removes all metadata. [Scale] decodes the picture and makes the
// sizes. The memory that this takes is bounded beforehand, see [Limits].
package picture

import (
	"crypto/sha256"
	"fmt"
)

const (
	// MaxBytes is the maximum size of an upload.
	MaxBytes = 10 << 20
	// maxPixels and maxSide are the maximum dimensions of a picture.
	maxPixels = 40_000_000
	maxSide   = 100_000
)

// Accepted media types.
const (
	JPEG = "image/jpeg"
	PNG  = "image/png"
	GIF  = "image/gif"
	WebP = "image/webp"
)

// Limits bounds the cost of decoding.
type Limits struct {
	// Memory is the number of bytes that decoding one picture may take.
	Memory int64
}

// Original is an uploaded picture without its metadata, except for the orientation and the colour
// profile. Metadata may reveal the place and the camera.
type Original struct {
	Hash      [sha256.Size]byte // of Content
	MediaType string
	Content   []byte
}

// InvalidError is the error of an invalid picture. Its Reason completes a sentence that begins with
// "the picture".
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return "the picture " + e.Reason }

func invalid(format string, args ...any) error {
	return &InvalidError{Reason: fmt.Sprintf(format, args...)}
}

var errTruncated = &InvalidError{Reason: "ends too early; upload the whole file"}

// Inspect validates an upload, whatever its file name says. Its error is an [*InvalidError].
func Inspect(upload []byte, l Limits) (Original, error) {
	if len(upload) == 0 {
		return Original{}, invalid("is empty")
	}
	if len(upload) > MaxBytes {
		return Original{}, invalid("is larger than %d MB", MaxBytes>>20)
	}
	f := detectFormat(upload)
	if f == nil {
		return Original{}, unknownFormat(upload)
	}
	content, err := f.strip(upload, metadata{readOrientation(upload, f), readProfile(upload, f)})
	if err != nil {
		return Original{}, err
	}
	if err := f.check(content, l); err != nil {
		return Original{}, err
	}
	return Original{Hash: sha256.Sum256(content), MediaType: f.mediaType, Content: content}, nil
}
