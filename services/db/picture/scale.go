package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/draw"
)

// Greatest width and height of each size, in pixels.
const (
	thumbnailSide = 160
	cardSide      = 480
	fullSide      = 1600

	quality = 85
)

// Sizes are what a picture is shown as, upright and without any metadata. None is larger than the original.
type Sizes struct {
	MediaType             string
	Thumbnail, Card, Full []byte
}

// Scale makes the sizes of a picture that has passed [Inspect]. Its error is a [*BadError] if the picture is to blame.
func Scale(content []byte) (s Sizes, err error) {
	f := formatOf(content)
	if f == nil {
		return s, bad("must be a JPEG, PNG, WebP or GIF")
	}
	full, err := decodeShrunk(f, content)
	if err != nil {
		return s, err
	}
	card := shrink(full, cardSide, draw.CatmullRom)
	thumbnail := shrink(card, thumbnailSide, draw.CatmullRom)

	encode := encodePNG
	s.MediaType = PNG
	if full.Opaque() {
		encode, s.MediaType = encodeJPEG, JPEG
	}
	for _, size := range []struct {
		from *image.RGBA
		to   *[]byte
	}{{full, &s.Full}, {card, &s.Card}, {thumbnail, &s.Thumbnail}} {
		if *size.to, err = encode(size.from); err != nil {
			return s, fmt.Errorf("encode a picture: %w", err)
		}
	}
	return s, nil
}

// decodeShrunk keeps no more of the decoded picture than its full size. A decoder that panics has met a damaged picture.
func decodeShrunk(f *format, content []byte) (full *image.RGBA, err error) {
	defer func() {
		if recover() != nil {
			err = bad("is damaged")
		}
	}()
	decoded, err := f.decode(bytes.NewReader(content))
	if err != nil {
		return nil, bad("is damaged, or of a kind that is not known here")
	}
	// The sharper kernel's scratch space would be 160 MB here.
	return turn(shrink(decoded, fullSide, draw.ApproxBiLinear), orientationOf(content, f)), nil
}

// shrink makes a picture fit into a square. As long as it is twice too large it is halved, each pixel the mean of four; the kernel
// does the rest. Over all of a large picture it would take seconds, and hundreds of megabytes.
func shrink(from image.Image, side int, kernel draw.Scaler) *image.RGBA {
	w, h := fit(from.Bounds().Dx(), from.Bounds().Dy(), side)
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

// fit keeps the proportions, and leaves what is small as it is.
func fit(w, h, side int) (int, int) {
	longest := max(w, h)
	if longest <= side {
		return w, h
	}
	return max(1, w*side/longest), max(1, h*side/longest)
}

func encodeJPEG(from *image.RGBA) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, from, &jpeg.Options{Quality: quality})
	return b.Bytes(), err
}

func encodePNG(from *image.RGBA) ([]byte, error) {
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, from)
	return b.Bytes(), err
}
