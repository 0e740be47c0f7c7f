package picture

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/draw"
)

// Maximum width and height of each size in pixels.
const (
	thumbnailSide = 160
	cardSide      = 480
	fullSide      = 1600

	jpegQuality = 85
)

// Sizes are the encoded sizes of a picture, upright and without metadata. None is larger than the
// original.
type Sizes struct {
	MediaType             string
	Thumbnail, Card, Full []byte
}

// Scale returns the sizes of a picture that has passed [Inspect]. Its error is an [*InvalidError]
// if the picture is invalid, or that of ctx if decoding was not finished in time.
func Scale(ctx context.Context, content []byte) (s Sizes, err error) {
	f := detectFormat(content)
	if f == nil {
		return s, invalid("must be a JPEG, PNG, WebP or GIF")
	}
	full, err := decodeFullSize(ctx, f, content)
	if err != nil {
		return s, err
	}
	card := resize(full, cardSide, draw.CatmullRom)
	thumbnail := resize(card, thumbnailSide, draw.CatmullRom)

	encode, encoded := encodePNG, formatOf(PNG)
	if full.Opaque() {
		encode, encoded = encodeJPEG, formatOf(JPEG)
	}
	s.MediaType = encoded.mediaType
	profile := readProfile(content, f)
	for _, size := range []struct {
		from *image.RGBA
		to   *[]byte
	}{{full, &s.Full}, {card, &s.Card}, {thumbnail, &s.Thumbnail}} {
		if *size.to, err = encode(size.from); err != nil {
			return s, fmt.Errorf("encode picture: %w", err)
		}
		if profile == nil {
			continue
		}
		if *size.to, err = encoded.strip(*size.to, metadata{upright, profile}); err != nil {
			return s, fmt.Errorf("add the colour profile: %w", err)
		}
	}
	return s, nil
}

// decodeFullSize decodes a picture and resizes it at once, which frees the decoded original. A
// panic of a decoder means that the picture is damaged.
func decodeFullSize(ctx context.Context, f *format, content []byte) (full *image.RGBA, err error) {
	defer func() {
		if recover() != nil {
			err = invalid("is damaged")
		}
	}()
	decoded, err := f.decode(&contextReader{ctx, bytes.NewReader(content)})
	if ctx.Err() != nil {
		return nil, fmt.Errorf("decode picture: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, invalid("is damaged, or of an unsupported kind")
	}
	// The scratch space of the sharper CatmullRom would be 160 MB here.
	return applyOrientation(resize(decoded, fullSide, draw.ApproxBiLinear), readOrientation(content, f)), nil
}

// contextReader fails once its context is done. Decoders read a few kilobytes at a time, so a read
// that fails stops them.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r *contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

// resize scales a picture down to fit into a square. It halves the picture as long as that is
// possible, and applies the kernel to the rest. On a large picture the kernel alone would take
// seconds and hundreds of megabytes.
func resize(from image.Image, side int, kernel draw.Scaler) *image.RGBA {
	w, h := fitInto(from.Bounds().Dx(), from.Bounds().Dy(), side)
	for {
		b := from.Bounds()
		half := image.Rect(0, 0, max(w, (b.Dx()+1)/2), max(h, (b.Dy()+1)/2))
		if b.Dx() < 2*w && b.Dy() < 2*h || half.Size() == b.Size() {
			break
		}
		smaller := image.NewRGBA(half)
		draw.ApproxBiLinear.Scale(smaller, half, from, b, draw.Src, nil)
		from = smaller
	}
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	if from.Bounds().Size() == to.Rect.Size() {
		draw.Copy(to, image.Point{}, from, from.Bounds(), draw.Src, nil)
		return to
	}
	kernel.Scale(to, to.Rect, from, from.Bounds(), draw.Src, nil)
	return to
}

// fitInto keeps the aspect ratio and does not enlarge.
func fitInto(w, h, side int) (int, int) {
	longest := max(w, h)
	if longest <= side {
		return w, h
	}
	return max(1, w*side/longest), max(1, h*side/longest)
}

func encodeJPEG(from *image.RGBA) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, from, &jpeg.Options{Quality: jpegQuality})
	return b.Bytes(), err
}

func encodePNG(from *image.RGBA) ([]byte, error) {
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, from)
	return b.Bytes(), err
}
