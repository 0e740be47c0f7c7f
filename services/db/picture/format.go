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

// format is a supported picture format.
type format struct {
	mediaType string
	matches   func(b []byte) bool
	config    func(io.Reader) (image.Config, error)
	decode    func(io.Reader) (image.Image, error)
	// cost returns an upper bound of the memory that decoding takes, in bytes per pixel.
	cost func(b []byte, c image.Config) (bytesPerPixel float64, err error)
	// strip removes everything that is not needed to show the picture, and all data after its end.
	// It keeps the orientation.
	strip func(b []byte, orientation uint16) ([]byte, error)
	// metadata is 0 for a format without orientation.
	metadata imagemeta.ImageFormat
}

func detectFormat(b []byte) *format {
	for _, f := range []format{
		{JPEG, hasPrefix("\xff\xd8\xff"), jpeg.DecodeConfig, jpeg.Decode, jpegCost, stripJPEG, imagemeta.JPEG},
		{PNG, hasPrefix(pngSignature), png.DecodeConfig, png.Decode, pngCost, stripPNG, imagemeta.PNG},
		{GIF, hasPrefix("GIF8"), gif.DecodeConfig, gif.Decode, fixedCost(1), stripGIF, 0},
		{WebP, isWebP, webp.DecodeConfig, webp.Decode, fixedCost(7), stripWebP, imagemeta.WebP},
	} {
		if f.matches(b) {
			return &f
		}
	}
	return nil
}

func hasPrefix(prefix string) func([]byte) bool {
	return func(b []byte) bool { return bytes.HasPrefix(b, []byte(prefix)) }
}

func fixedCost(bytesPerPixel float64) func([]byte, image.Config) (float64, error) {
	return func([]byte, image.Config) (float64, error) { return bytesPerPixel, nil }
}

// check validates the dimensions in the picture's header, and the memory that decoding takes.
func (f *format) check(b []byte, l Limits) error {
	c, err := f.config(bytes.NewReader(b))
	if err != nil {
		return invalid("cannot be read as %s; it may be damaged, or of an unsupported kind", f.mediaType)
	}
	pixels := int64(c.Width) * int64(c.Height)
	if c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide || pixels > maxPixels {
		return invalid("has %d × %d pixels; at most %d million are accepted", c.Width, c.Height, maxPixels/1_000_000)
	}
	perPixel, err := f.cost(b, c)
	if err != nil {
		return err
	}
	// The first step of scaling needs one more byte per pixel.
	if need := float64(pixels) * (perPixel + 1); need > float64(l.Memory) {
		return invalid("takes %.0f MiB of memory to decode, and at most %d are allowed; "+
			"save it smaller, with 8 bits per channel, and neither progressive nor interlaced",
			need/(1<<20), l.Memory>>20)
	}
	return nil
}

func pngCost(b []byte, c image.Config) (float64, error) {
	perPixel := 4.0
	switch c.ColorModel {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model: // grey may have an alpha channel too
		perPixel = 8
	}
	const interlaced = 28 // offset of the interlace method
	if len(b) > interlaced && b[interlaced] != 0 {
		perPixel *= 2 // the seven passes are decoded as separate images
	}
	return perPixel, nil
}
