package picture

import (
	"bytes"
	"errors"
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
	// strip removes everything that is not needed to show the picture, and all data after its end,
	// and adds m.
	strip func(b []byte, m metadata) ([]byte, error)
	// profile returns the colour profile, or nil. It is nil for a format without.
	profile func(b []byte) []byte
	// exif is 0 for a format without orientation.
	exif imagemeta.ImageFormat
}

// metadata is what is kept of a picture's metadata.
type metadata struct {
	orientation uint16
	profile     []byte // nil for sRGB
}

var formats = []format{
	{JPEG, hasPrefix("\xff\xd8\xff"), jpeg.DecodeConfig, jpeg.Decode, jpegCost, stripJPEG, jpegProfile, imagemeta.JPEG},
	{PNG, hasPrefix(pngSignature), png.DecodeConfig, png.Decode, pngCost, stripPNG, pngProfile, imagemeta.PNG},
	{GIF, hasPrefix("GIF8"), gif.DecodeConfig, decodeGIF, gifCost, stripGIF, nil, 0},
	{WebP, isWebP, webp.DecodeConfig, webp.Decode, webpCost, stripWebP, webpProfile, imagemeta.WebP},
}

// detectFormat returns the format of a picture by its content, or nil.
func detectFormat(b []byte) *format {
	return findFormat(func(f *format) bool { return f.matches(b) })
}

func formatOf(mediaType string) *format {
	return findFormat(func(f *format) bool { return f.mediaType == mediaType })
}

func findFormat(matches func(*format) bool) *format {
	for i := range formats {
		if matches(&formats[i]) {
			return &formats[i]
		}
	}
	return nil
}

func hasPrefix(prefix string) func([]byte) bool {
	return func(b []byte) bool { return bytes.HasPrefix(b, []byte(prefix)) }
}

func webpCost([]byte, image.Config) (float64, error) { return 7, nil }

// unsupported are formats that phones and browsers write, by the brand in their header, in ISO base
// media files.
var unsupported = map[string]string{
	"heic": "HEIC", "heix": "HEIC", "heim": "HEIC", "heis": "HEIC", "hevc": "HEIC", "mif1": "HEIC", "msf1": "HEIC", "avif": "AVIF", "avis": "AVIF",
}

// unknownFormat returns the error for an upload of no supported format.
func unknownFormat(b []byte) error {
	const brand = 8 // offset of the brand, after a length and "ftyp"
	if len(b) >= brand+4 && string(b[4:brand]) == "ftyp" {
		if name, ok := unsupported[string(b[brand:brand+4])]; ok {
			return invalid("is %s, which not every browser shows; save it as JPEG", name)
		}
	}
	return invalid("must be a JPEG, PNG, WebP or GIF")
}

// check validates the dimensions in the picture's header, and the memory that decoding takes.
func (f *format) check(b []byte, l Limits) error {
	c, err := f.config(bytes.NewReader(b))
	if kind := jpeg.UnsupportedError(""); errors.As(err, &kind) {
		return invalid("is a JPEG of a rare kind (%s); save it again in another program", string(kind))
	}
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
