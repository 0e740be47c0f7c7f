package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
)

// JPEG markers, from ITU T.81.
const (
	jpegFirst = 0xc0 // the first marker with a segment
	jpegSOI   = 0xd8
	jpegEOI   = 0xd9
	jpegSOS   = 0xda
	jpegSOF2  = 0xc2
	jpegCOM   = 0xfe
	jpegAPP0  = 0xe0
	jpegAPP1  = 0xe1
	jpegAPP2  = 0xe2 // holds the colour profile
	jpegAPP14 = 0xee // Adobe's segment defines the colour space
	jpegAPP15 = 0xef
)

// maxScans bounds the time that decoding takes: each scan visits the whole picture, even one of a few
// bytes. A progressive picture has about ten.
const maxScans = 100

// maxScanned bounds the pixels of all scans together, to about two seconds.
const maxScanned = 1_000_000_000

// jpegSegments calls each for every marker with its segment, which begins with two bytes of length,
// and the compressed data that follows. It stops at the end of the picture and ignores what
// follows, and bytes that belong to no segment.
func jpegSegments(b []byte, each func(marker byte, segment, data []byte)) error {
	for i := 2; ; {
		stray := bytes.IndexByte(b[i:], 0xff)
		if stray < 0 {
			return errTruncated
		}
		i += stray
		for i < len(b) && b[i] == 0xff {
			i++
		}
		if i >= len(b) {
			return errTruncated
		}
		marker := b[i]
		i++
		if marker == jpegEOI {
			return nil
		}
		if marker < jpegFirst || hasNoSegment(marker) {
			continue
		}
		if i+2 > len(b) {
			return errTruncated
		}
		n := int(binary.BigEndian.Uint16(b[i:]))
		if n < 2 || i+n > len(b) {
			return errTruncated
		}
		segment := b[i : i+n]
		i += n
		start := i
		if marker == jpegSOS {
			i = endOfScan(b, i)
		}
		each(marker, segment, b[start:i])
	}
}

func hasNoSegment(marker byte) bool {
	return marker >= 0xd0 && marker <= jpegSOI // RST0 to RST7, SOI
}

// endOfScan returns the offset of the marker that ends compressed data. In the data 0xff is
// followed by 0 or starts a restart marker.
func endOfScan(b []byte, i int) int {
	for i < len(b) {
		next := bytes.IndexByte(b[i:], 0xff)
		if next < 0 || i+next+1 >= len(b) {
			return len(b)
		}
		i += next
		if m := b[i+1]; m != 0 && m != 0xff && (m < 0xd0 || m > 0xd7) {
			return i
		}
		i++
	}
	return i
}

// stripJPEG rewrites the picture without metadata and without bytes between segments, on which decoders
// disagree.
func stripJPEG(b []byte, m metadata) ([]byte, error) {
	out := append(make([]byte, 0, len(b)), 0xff, jpegSOI)
	if m.orientation != upright {
		out = appendJPEGSegment(out, jpegAPP1, append([]byte("Exif\x00\x00"), exifBlock(m.orientation)...))
	}
	if m.profile != nil {
		out = appendJPEGProfile(out, m.profile)
	}
	adobe, scans := false, 0
	err := jpegSegments(b, func(marker byte, segment, data []byte) {
		if isFrame(marker) && len(segment) > jpegComponents && segment[jpegComponents] == 4 && !adobe {
			// Without Adobe's segment, Go's decoder rejects CMYK. Others assume inverted values, as in
			// Adobe's files.
			out = appendJPEGSegment(out, jpegAPP14, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00"))
		}
		adobe = adobe || marker == jpegAPP14
		if marker == jpegSOS {
			scans++
		}
		isMetadata := marker == jpegCOM || marker >= jpegAPP0 && marker <= jpegAPP15
		// After a scan, Adobe's segment would change the colour space that jpegCost has seen.
		if !isMetadata || isJFIF(marker, segment) || marker == jpegAPP14 && scans == 0 {
			out = append(append(append(out, 0xff, marker), segment...), data...)
		}
	})
	if scans > maxScans {
		return nil, invalid("has %d scans; at most %d are accepted", scans, maxScans)
	}
	return append(out, 0xff, jpegEOI), err
}

func appendJPEGSegment(out []byte, marker byte, data []byte) []byte {
	out = append(out, 0xff, marker)
	out = binary.BigEndian.AppendUint16(out, uint16(len(data)+2)) //nolint:gosec // at most maxProfile and a few bytes
	return append(out, data...)
}

// jpegComponents is the offset of the number of components in a frame header.
const jpegComponents = 7

// isFrame reports whether the marker is that of a frame header.
func isFrame(marker byte) bool {
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc
}

// isJFIF reports whether a segment is a JFIF header, which defines the colour space, without a
// thumbnail.
func isJFIF(marker byte, segment []byte) bool {
	return marker == jpegAPP0 && len(segment) == 16 && bytes.HasPrefix(segment[2:], []byte("JFIF\x00"))
}

// jpegCost counts a byte per sample. A progressive picture needs four more for its coefficients,
// which are kept until the last scan. RGB and CMYK are converted at the end to four bytes per pixel in
// addition to the samples.
func jpegCost(b []byte, c image.Config) (float64, error) {
	var frame []byte
	scans := 0
	progressive := false
	err := jpegSegments(b, func(marker byte, segment, _ []byte) {
		if isFrame(marker) && frame == nil {
			frame, progressive = segment, marker == jpegSOF2
		}
		if marker == jpegSOS {
			scans++
		}
	})
	if err != nil {
		return 0, err
	}
	if len(frame) <= jpegComponents {
		return 0, invalid("is a damaged JPEG")
	}
	if scans*c.Width*c.Height > maxScanned {
		return 0, invalid("has %d scans, too many for its size; save it smaller", scans)
	}
	cost := jpegSamplesPerPixel(frame)
	if progressive {
		cost *= 5
	}
	if c.ColorModel == color.RGBAModel || c.ColorModel == color.CMYKModel {
		cost += 4
	}
	return cost, nil
}

// jpegSamplesPerPixel returns the number of samples per pixel from a frame header.
func jpegSamplesPerPixel(frame []byte) float64 {
	const first, size = 8, 3
	sum, widest, highest := 0, 1, 1
	for i := first; i+size <= len(frame) && i < first+size*int(frame[jpegComponents]); i += size {
		h, v := int(frame[i+1]>>4), int(frame[i+1]&15)
		sum += h * v
		widest, highest = max(widest, h), max(highest, v)
	}
	return float64(sum) / float64(widest*highest)
}
