package picture

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"github.com/bep/imagemeta"
	"golang.org/x/image/webp"
)

// format is a kind of picture that is taken.
type format struct {
	mediaType string
	matches   func(b []byte) bool
	config    func(io.Reader) (image.Config, error)
	decode    func(io.Reader) (image.Image, error)
	// cost is the most that a decoder needs, in bytes for a pixel.
	cost func(b []byte, c image.Config) (bytesPerPixel float64, err error)
	// strip leaves out what is not needed to show the picture, but for its orientation, and what follows after its end.
	strip func(b []byte, orientation uint16) ([]byte, error)
	// metadata is 0 for a format that has no orientation.
	metadata imagemeta.ImageFormat
}

func formatOf(b []byte) *format {
	for _, f := range []format{
		{JPEG, prefix("\xff\xd8\xff"), jpeg.DecodeConfig, jpeg.Decode, costOfJPEG, stripJPEG, imagemeta.JPEG},
		{PNG, prefix(pngSignature), png.DecodeConfig, png.Decode, costOfPNG, stripPNG, imagemeta.PNG},
		{GIF, prefix("GIF8"), gif.DecodeConfig, gif.Decode, func([]byte, image.Config) (float64, error) { return 1, nil }, stripGIF, 0},
		{WebP, isWebP, webp.DecodeConfig, webp.Decode, func([]byte, image.Config) (float64, error) { return 7, nil }, stripWebP, imagemeta.WebP},
	} {
		if f.matches(b) {
			return &f
		}
	}
	return nil
}

func prefix(p string) func([]byte) bool {
	return func(b []byte) bool { return bytes.HasPrefix(b, []byte(p)) }
}

// check looks at what the picture says of itself.
func (f *format) check(b []byte, l Limits) error {
	c, err := f.config(bytes.NewReader(b))
	if err != nil {
		return bad("can not be read as %s; it may be damaged, or of a kind that is not known here", f.mediaType)
	}
	pixels := int64(c.Width) * int64(c.Height)
	if c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide || pixels > maxPixels {
		return bad("has %d × %d pixels; at most %d million are taken", c.Width, c.Height, maxPixels/1_000_000)
	}
	perPixel, err := f.cost(b, c)
	if err != nil {
		return err
	}
	// The first step of scaling needs a byte for each pixel.
	if need := float64(pixels) * (perPixel + 1); need > float64(l.Memory) {
		return bad("takes %.0f MiB of memory to decode, and there are %d; save it smaller, with 8 bits a channel, and neither progressive nor interlaced",
			need/(1<<20), l.Memory>>20)
	}
	return nil
}

func costOfPNG(b []byte, c image.Config) (float64, error) {
	perPixel := 4.0
	switch c.ColorModel {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model: // grey may still turn out to be transparent
		perPixel = 8
	}
	const interlaced = 28 // where it is said
	if len(b) > interlaced && b[interlaced] != 0 {
		perPixel *= 2 // the seven parts are pictures of their own at first
	}
	return perPixel, nil
}
